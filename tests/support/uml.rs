//! A kernel of one's own: User Mode Linux (Debian's package user-mode-linux), a plain process whose root is this machine's own files,
//! read-only. In it are bonds and VLANs, whatever the machine's kernel has; its hosts are network namespaces.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The kernel.
const KERNEL: &str = "linux.uml";
/// A story takes a minute or two; more only on a machine that is very busy.
const MOST: &str = "600";
/// How long one try at a connection takes at most.
const TRY: Duration = Duration::from_secs(1);
/// What is sent at a time: five full segments and a little.
const BURST: usize = 7_400;

/// Whether the kernel and what it needs are installed.
///
/// # Errors
/// What is missing.
pub fn is_there() -> Result<(), String> {
    are_installed(&[
        (KERNEL, "user-mode-linux"),
        ("cc", "gcc"),
        ("ethtool", "ethtool"),
        ("ip", "iproute2"),
        ("modprobe", "kmod"),
        ("nft", "nftables"),
        ("udhcpc", "udhcpc"),
        ("dnsmasq", "dnsmasq-base"),
    ])
}

/// Whether ISC's daemons are installed.
///
/// # Errors
/// What is missing.
pub fn has_isc() -> Result<(), String> {
    are_installed(&[("dhcpd", "isc-dhcp-server"), ("dhclient", "isc-dhcp-client"), ("dhcrelay", "isc-dhcp-relay")])
}

fn are_installed(programs: &[(&str, &str)]) -> Result<(), String> {
    for (program, package) in programs {
        let found = Command::new("sh")
            .args(["-c", &format!("PATH=$PATH:/usr/sbin:/sbin command -v {program}")])
            .stdout(Stdio::null())
            .status();
        if !found.is_ok_and(|status| status.success()) {
            return Err(format!("{program} is not installed (package {package})"));
        }
    }
    Ok(())
}

/// Boots the kernel, tells the story of the script `name`, and gives the folder with what it wrote.
pub fn boot(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/uml");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("uml-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    // The kernel has a /tmp of its own: what it needs lies in the folder that it can write to.
    fs::copy(env!("CARGO_BIN_EXE_netdiag"), folder.join("netdiag")).unwrap();
    fs::copy(std::env::current_exe().unwrap(), folder.join("talk")).unwrap();
    for file in fs::read_dir(&here).unwrap().map(|entry| entry.unwrap()) {
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    let shim = folder.join("xstate.so");
    let build = |source: &str, flags: &[&str], made: &Path| {
        let built = Command::new("cc").arg("-O2").args(flags).arg("-o").arg(made).arg(here.join(source)).status();
        assert!(built.unwrap().success(), "{source} did not compile");
    };
    build("xstate.c", &["-shared", "-fPIC"], &shim);
    build("plug.c", &[], &folder.join("plug"));
    let log = File::create(folder.join("log")).unwrap();
    let status = Command::new("timeout")
        .args(["-k", "5", MOST, KERNEL, "mem=512M", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", "con=null"])
        .args(["con0=null,fd:1".to_owned(), format!("init={}", folder.join("init.sh").display())])
        .args([format!("FOLDER={}", folder.display()), format!("STORY={name}")])
        .env("LD_PRELOAD", &shim)
        .env("HOME", &folder)
        .env("TMPDIR", &folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .status()
        .unwrap();
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    assert!(folder.join("done").is_file(), "the story was not told to its end ({status}):\n{log}");
    folder
}

/// What this process is to do instead of testing: one end of a conversation inside the kernel.
pub fn role() -> Option<impl FnOnce()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [role, address] if role == "serve" => {
            let address = address.clone();
            Some(Box::new(move || serve(&address)) as Box<dyn FnOnce()>)
        }
        [role, address] if role == "reach" => {
            let address = address.parse().unwrap();
            Some(Box::new(move || reach(address)))
        }
        [role, address, seconds] if role == "talk" => {
            let (address, seconds) = (address.clone(), seconds.parse().unwrap());
            Some(Box::new(move || talk(&address, seconds)) as Box<dyn FnOnce()>)
        }
        _ => None,
    }
}

/// Answers each burst with one byte, for ever.
fn serve(address: &str) {
    let listener = TcpListener::bind(address).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        std::thread::spawn(move || {
            let mut burst = vec![0; BURST];
            while stream.read_exact(&mut burst).is_ok() && stream.write_all(b".").is_ok() {}
        });
    }
}

/// Exits with 0 if there can be a connection.
fn reach(address: SocketAddr) {
    let is_reached = TcpStream::connect_timeout(&address, TRY).is_ok();
    std::process::exit(i32::from(!is_reached));
}

/// Sends small and large for so long, and exits with 0 if the large ones came through.
fn talk(address: &str, seconds: u64) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(seconds))).unwrap();
    stream.set_nodelay(true).unwrap();
    let burst = vec![b'x'; BURST];
    // The prompt of a shell comes through either way; the listing after it does not.
    stream.write_all(&burst[..100]).unwrap();
    stream.write_all(&burst[100..]).unwrap();
    let has_answer = stream.read_exact(&mut [0]).is_ok();
    std::process::exit(i32::from(!has_answer));
}
