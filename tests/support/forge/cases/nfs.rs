//! A file server that nodes share a directory of.

use super::super::tcp::{End, Talk, Who};
use super::super::{SERVER, SERVER_IP, Shot, pcap};
use super::amqp::{NODES, open};
use super::dhcp::in_order;
use super::{Case, case};

const STORE: End = End { mac: SERVER, ip: SERVER_IP, port: 2_049 };
/// A base image of 10 GB, as nova names it.
const IMAGE: &str = "7b4783508212f5d242cbf9ff56fb8d33b4ce6166_10";

pub fn cases() -> Vec<Case> {
    vec![
        case("svc/base-image-removed-and-missed", "eth0.pcap", pcap(removed_and_missed())),
        case("svc/base-images-removed-over-nfs4", "eth0.pcap", pcap(removed_by_compound())),
        case("svc/base-image-removed-and-fetched-again", "eth0.pcap", pcap(removed_and_fetched())),
        case("healthy/nfs-files-come-and-go", "eth0.pcap", pcap(come_and_go())),
    ]
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn opaque(bytes: &[u8]) -> Vec<u8> {
    let mut all = [words(&[bytes.len() as u32]), bytes.to_vec()].concat();
    all.resize(4 + bytes.len().next_multiple_of(4), 0);
    all
}

fn record(bytes: &[u8]) -> Vec<u8> {
    [words(&[0x8000_0000 | bytes.len() as u32]), bytes.to_vec()].concat()
}

/// A call by `machine`, whose user is nova's.
fn call(xid: u32, machine: &str, version: u32, procedure: u32, args: &[u8]) -> Vec<u8> {
    let credential = [words(&[0x5000]), opaque(machine.as_bytes()), words(&[162, 162, 1, 162])].concat();
    let head = words(&[xid, 0, 2, 100_003, version, procedure, 1]);
    record(&[head, opaque(&credential), words(&[0, 0]), args.to_vec()].concat())
}

fn answer(xid: u32, status: u32) -> Vec<u8> {
    record(&words(&[xid, 1, 0, 0, 0, 0, status, 0, 0, 0]))
}

/// A directory's handle and a name in it.
fn inside(name: &str) -> Vec<u8> {
    [opaque(&[7; 28]), opaque(name.as_bytes())].concat()
}

/// What a machine asks of the file server, and what it is told, one after the other.
struct Machine {
    name: &'static str,
    talk: Talk,
    xid: u32,
}

impl Machine {
    fn new(name: &'static str, node: End) -> Self {
        Self { name, talk: open(node, STORE), xid: 0x9000_0000 + u32::from(node.port) * 64 }
    }

    fn asks(&mut self, seconds: f64, version: u32, procedure: u32, args: &[u8], status: u32) -> &mut Self {
        self.xid += 1;
        self.talk.tell(seconds, Who::Caller, &call(self.xid, self.name, version, procedure, args));
        self.talk.tell(seconds + 0.001, Who::Called, &answer(self.xid, status));
        self.talk.acknowledge(seconds + 0.002, Who::Caller);
        self
    }

    fn looks(&mut self, seconds: f64, name: &str, status: u32) -> &mut Self {
        self.asks(seconds, 3, 3, &inside(name), status)
    }

    fn makes(&mut self, seconds: f64, name: &str) -> &mut Self {
        self.asks(seconds, 3, 8, &[inside(name), words(&[0, 0, 0, 0, 0, 0, 0])].concat(), 0)
    }

    fn removes(&mut self, seconds: f64, name: &str, status: u32) -> &mut Self {
        self.asks(seconds, 3, 12, &inside(name), status)
    }

    fn renames(&mut self, seconds: f64, from: &str, to: &str) -> &mut Self {
        self.asks(seconds, 3, 14, &[inside(from), inside(to)].concat(), 0)
    }
}

/// The node c05 is down when c03 looks which images are used; four minutes later it comes back and needs one.
fn removed_and_missed() -> Vec<Shot> {
    let mut c03 = Machine::new("dair-ua-c03", NODES[1]);
    c03.looks(1.0, IMAGE, 0).removes(10.0, IMAGE, 0);
    let mut c05 = Machine::new("dair-ua-c05", NODES[2]);
    c05.looks(250.0, IMAGE, 2).looks(251.0, "disk.info", 0).looks(262.0, IMAGE, 2);
    in_order(vec![c03.talk.shots(), c05.talk.shots()])
}

/// Two images go by compounds of NFS 4.1; nobody misses them.
fn removed_by_compound() -> Vec<Shot> {
    let mut c03 = Machine::new("dair-ua-c03", NODES[1]);
    let other = IMAGE.replace("_10", "");
    for (t, name) in [(10.0, IMAGE), (10.1, &other)] {
        let sequence = [words(&[53]), vec![3; 32]].concat();
        let remove =
            [words(&[22]), opaque(&[7; 28]), words(&[28]), opaque(name.as_bytes()), words(&[9, 1, 24])].concat();
        let compound = [opaque(b""), words(&[1, 4]), sequence, remove].concat();
        c03.asks(t, 4, 1, &compound, 0);
    }
    c03.looks(20.0, "console.log", 0);
    c03.talk.shots()
}

/// The cache at work: an image that nobody uses is removed; the next instance on another node fetches it again.
fn removed_and_fetched() -> Vec<Shot> {
    let mut c03 = Machine::new("dair-ua-c03", NODES[1]);
    c03.removes(10.0, IMAGE, 0);
    let mut c05 = Machine::new("dair-ua-c05", NODES[2]);
    let part = format!("{IMAGE}.part");
    c05.looks(250.0, IMAGE, 2).makes(250.4, &part).renames(270.0, &part, IMAGE).looks(270.2, IMAGE, 0);
    in_order(vec![c03.talk.shots(), c05.talk.shots()])
}

/// Other files are removed, a file in use is moved aside, a removal is refused, and an image that was never here is looked for and made.
fn come_and_go() -> Vec<Shot> {
    let mut c03 = Machine::new("dair-ua-c03", NODES[1]);
    c03.removes(1.0, "console.log", 0).removes(2.0, IMAGE, 13).renames(3.0, IMAGE, ".nfs0000000000ab12").removes(
        4.0,
        ".nfs0000000000ab12",
        0,
    );
    let mut c05 = Machine::new("dair-ua-c05", NODES[2]);
    let other = IMAGE.replace("7b", "00");
    c05.looks(5.0, &other, 2).makes(6.0, &other).looks(30.0, &other, 0);
    in_order(vec![c03.talk.shots(), c05.talk.shots()])
}
