//! A network of one's own: a fresh network namespace, pairs of links, frames sent on them, and a netdiag that listens.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use pnet::datalink::{self, Channel};

/// Nothing that is awaited takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Tells the process that it is inside.
const INSIDE: &str = "NETDIAG_INSIDE";

/// Goes on in a network namespace of its own, in which this process may do everything; comes back only there.
///
/// # Errors
/// Why there can be none.
pub fn enter() -> Result<(), String> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    // A file system for /sys that shows the links of this namespace; without it `live all` sees none in some containers.
    let script = "mount -t sysfs sys /sys 2>/dev/null; ip link set lo up && exec \"$0\" \"$@\"";
    let flags = ["--net", "--mount", "--map-root-user"];
    let is_root = rustix::process::geteuid().is_root();
    let flags = if is_root { flags.get(..2).unwrap_or(&[]) } else { &flags };
    let possible = Command::new("unshare").args(flags).args(["ip", "link", "show"]).output();
    match possible {
        Ok(output) if output.status.success() => {}
        Ok(output) => return Err(format!("no network namespace: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => return Err(format!("unshare and ip are needed (util-linux, iproute2): {error}")),
    }
    let own: Vec<OsString> = std::env::args_os().collect();
    let error = Command::new("unshare").args(flags).args(["sh", "-c", script]).args(own).env(INSIDE, "1").exec();
    Err(format!("unshare: {error}"))
}

/// Runs a command that must succeed.
pub fn run(line: &str) {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Two links that are joined; both go when this goes.
pub struct Pair {
    /// The one that is listened to.
    pub near: String,
    /// The other end.
    pub far: String,
}

impl Pair {
    /// Makes `near`, which says nothing by itself, and its other end.
    pub fn new(near: &str) -> Self {
        let pair = Self { near: near.to_owned(), far: format!("{near}-far") };
        pair.make();
        pair
    }

    /// Makes both ends.
    pub fn make(&self) {
        let Self { near, far } = self;
        run(&format!(
            "ip link add {near} type veth peer name {far} && for i in {near} {far}; do \
             echo 1 2>/dev/null >/proc/sys/net/ipv6/conf/$i/disable_ipv6; ip link set $i up || exit 1; done"
        ));
    }

    /// Sends frames out of the near end, as the host itself would.
    pub fn send(&self, frames: &[Vec<u8>]) {
        send(&self.near, frames);
    }

    /// Sends frames into the near end, as the other side would.
    pub fn receive(&self, frames: &[Vec<u8>]) {
        send(&self.far, frames);
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.near]).stderr(Stdio::null()).status();
    }
}

fn send(link: &str, frames: &[Vec<u8>]) {
    let interface = datalink::interfaces().into_iter().find(|i| i.name == link).unwrap();
    let Ok(Channel::Ethernet(mut out, _)) = datalink::channel(&interface, datalink::Config::default()) else {
        panic!("no channel on {link}");
    };
    for frame in frames {
        out.send_to(frame, None).unwrap().unwrap();
    }
}

/// A netdiag that runs.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
    said: String,
}

impl Running {
    /// Starts `netdiag` with these arguments, and waits until it captures.
    pub fn start(args: &[&str]) -> Self {
        let mut running = Self::spawn(Command::new(env!("CARGO_BIN_EXE_netdiag")).args(args));
        running.warned("capturing on ");
        running
    }

    /// Starts a command whose output is read.
    pub fn spawn(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (lines, errors) = (read(child.stdout.take().unwrap()), read(child.stderr.take().unwrap()));
        Self { child, lines, errors, said: String::new() }
    }

    /// The next line of the output for which `is_it` holds.
    pub fn line(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.said.push_str(&line);
                    self.said.push('\n');
                    if is_it(&line) {
                        return line;
                    }
                }
                Err(_) => {
                    let errors: Vec<String> = self.errors.try_iter().collect();
                    panic!("no such line came; there were:\n{}\n{}", self.said, errors.join("\n"));
                }
            }
        }
    }

    /// The next line on standard error that holds `text`.
    pub fn warned(&mut self, text: &str) -> String {
        let mut heard = Vec::new();
        loop {
            match self.errors.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => heard.push(line),
                Err(_) => panic!("it did not say `{text}`, but:\n{}", heard.join("\n")),
            }
        }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `INT`.
    pub fn signal(&self, name: &str) {
        run(&format!("kill -{name} {}", self.id()));
    }

    /// Waits for the end: how it ended, and all that it said.
    pub fn end(mut self) -> (ExitStatus, String, String) {
        // Both end when the process does.
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.said.push_str(&line);
            self.said.push('\n');
        }
        let errors: Vec<String> = self.errors.iter().collect();
        (self.child.wait().unwrap(), std::mem::take(&mut self.said), errors.join("\n"))
    }

    /// Ends it with Ctrl-C, and waits.
    pub fn interrupt(self) -> (ExitStatus, String, String) {
        self.signal("INT");
        self.end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a stream, as they come.
fn read(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (tell, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
