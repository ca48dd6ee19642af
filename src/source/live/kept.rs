//! How much of each frame the kernel keeps, as a classic BPF program (Documentation/networking/filter): whole what detectors read to its
//! end, the headers of the rest. A ring holds four times as much traffic this way, and a DHCP message is never cut.

use super::WHOLE;

/// One instruction of classic BPF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// What to do (linux/bpf_common.h).
    pub(super) code: u16,
    /// Instructions to skip if the test holds.
    pub(super) if_true: u8,
    /// Instructions to skip if it does not.
    pub(super) if_false: u8,
    /// The operand.
    pub(super) operand: u32,
}

/// Bytes kept of a TCP segment: two tags, IPv6, and options to the full, with room for a tunnel around them.
const TCP: u32 = 256;
/// Bytes kept of a UDP datagram that is no DHCP: a tunnel's, with the DHCP message of common length that it may carry.
const UDP: u32 = 768;
/// Below this length, in bytes, a frame is kept whole, and the loads of the program stay inside it.
const SHORT: u32 = 128;

const LOAD_LENGTH: u16 = 0x80;
const LOAD_HALF: u16 = 0x48;
const LOAD_BYTE: u16 = 0x50;
const LOAD_INDEX: u16 = 0x01;
const INDEX_FROM_SUM: u16 = 0x07;
const SUM_FROM_INDEX: u16 = 0x87;
const ADD: u16 = 0x04;
const ADD_INDEX: u16 = 0x0c;
const AND: u16 = 0x54;
const SHIFT_LEFT: u16 = 0x64;
const IF_EQUAL: u16 = 0x15;
const IF_MORE: u16 = 0x25;
const IF_ANY: u16 = 0x45;
const GO: u16 = 0x05;
const KEEP: u16 = 0x06;

/// Places in the program that are jumped to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Next,
    Whole,
    Tcp,
    Udp,
    Type,
    Ipv6,
    Ports4,
    Ports6,
    Ports,
    Tag,
}

/// The program that keeps `limit` bytes of each frame.
pub(super) fn at_most(limit: u32) -> Vec<Instruction> {
    vec![Instruction { code: KEEP, if_true: 0, if_false: 0, operand: limit }]
}

/// The program that keeps control traffic whole, and of TCP and UDP what detectors read. It is for frames with an Ethernet header, from
/// which the kernel may have taken the outer tag.
pub(super) fn by_kind() -> Vec<Instruction> {
    let mut code = Assembly::default();
    code.add(LOAD_LENGTH, 0);
    code.test(IF_MORE, SHORT, Place::Next, Place::Whole);
    code.add(LOAD_INDEX, 0);
    // Three tags at most, besides the one that was taken off: deeper ones are kept whole.
    for _ in 0..3 {
        code.add(LOAD_HALF, 12);
        for tpid in [0x8100, 0x88a8, 0x9100] {
            code.test(IF_EQUAL, tpid, Place::Tag, Place::Next);
        }
        code.jump(Place::Type);
        code.place(Place::Tag);
        code.add(SUM_FROM_INDEX, 0);
        code.add(ADD, 4);
        code.add(INDEX_FROM_SUM, 0);
    }
    code.add(LOAD_HALF, 12);
    code.place(Place::Type);
    code.test(IF_EQUAL, 0x86dd, Place::Ipv6, Place::Next);
    code.test(IF_EQUAL, 0x0800, Place::Next, Place::Whole);
    // Fragments whole: flags and offset but "don't fragment" (RFC 791).
    code.add(LOAD_HALF, 20);
    code.test(IF_ANY, 0x3fff, Place::Whole, Place::Next);
    code.add(LOAD_BYTE, 23);
    code.test(IF_EQUAL, 6, Place::Tcp, Place::Next);
    code.test(IF_EQUAL, 17, Place::Ports4, Place::Whole);
    code.place(Place::Ports4);
    code.add(LOAD_BYTE, 14);
    code.add(AND, 0x0f);
    code.add(SHIFT_LEFT, 2);
    code.add(ADD_INDEX, 0);
    code.add(INDEX_FROM_SUM, 0);
    code.jump(Place::Ports);
    code.place(Place::Ipv6);
    code.add(LOAD_BYTE, 20);
    code.test(IF_EQUAL, 6, Place::Tcp, Place::Next);
    code.test(IF_EQUAL, 17, Place::Ports6, Place::Whole);
    code.place(Place::Ports6);
    code.add(SUM_FROM_INDEX, 0);
    code.add(ADD, 40);
    code.add(INDEX_FROM_SUM, 0);
    code.place(Place::Ports);
    // DHCP and DHCPv6, by the port of either end.
    for offset in [14, 16] {
        code.add(LOAD_HALF, offset);
        for port in [67, 68, 546, 547] {
            code.test(IF_EQUAL, port, Place::Whole, Place::Next);
        }
    }
    code.place(Place::Udp);
    code.add(KEEP, UDP);
    code.place(Place::Tcp);
    code.add(KEEP, TCP);
    code.place(Place::Whole);
    code.add(KEEP, WHOLE);
    code.finish()
}

/// A program with jumps to places that are not known yet.
#[derive(Default)]
struct Assembly {
    code: Vec<(Instruction, Place, Place)>,
    places: Vec<(Place, usize)>,
}

impl Assembly {
    fn add(&mut self, code: u16, operand: u32) {
        self.code.push((Instruction { code, if_true: 0, if_false: 0, operand }, Place::Next, Place::Next));
    }

    fn test(&mut self, code: u16, operand: u32, if_true: Place, if_false: Place) {
        self.code.push((Instruction { code, if_true: 0, if_false: 0, operand }, if_true, if_false));
    }

    fn jump(&mut self, to: Place) {
        self.code.push((Instruction { code: GO, if_true: 0, if_false: 0, operand: 0 }, to, Place::Next));
    }

    fn place(&mut self, place: Place) {
        self.places.push((place, self.code.len()));
    }

    /// Instructions between the one at `from` and the first that is called `to` behind it.
    fn distance(&self, from: usize, to: Place) -> usize {
        let behind = from.saturating_add(1);
        let found = self.places.iter().find(|(place, at)| *place == to && *at >= behind);
        found.map_or(0, |(_, at)| at.saturating_sub(behind))
    }

    fn finish(self) -> Vec<Instruction> {
        let resolve = |(at, (instruction, if_true, if_false)): (usize, &(Instruction, Place, Place))| {
            let mut instruction = *instruction;
            if instruction.code == GO {
                instruction.operand = u32::try_from(self.distance(at, *if_true)).unwrap_or(u32::MAX);
            } else {
                instruction.if_true = u8::try_from(self.distance(at, *if_true)).unwrap_or(u8::MAX);
                instruction.if_false = u8::try_from(self.distance(at, *if_false)).unwrap_or(u8::MAX);
            }
            instruction
        };
        self.code.iter().enumerate().map(resolve).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `program` keeps of `frame`: an interpreter of the instructions used here, after linux/filter.h.
    fn keeps(program: &[Instruction], frame: &[u8]) -> u32 {
        let (mut sum, mut index, mut at) = (0_u32, 0_u32, 0_usize);
        let half = |at: u32| u32::from(u16::from_be_bytes([frame[at as usize], frame[at as usize + 1]]));
        loop {
            let Instruction { code, if_true, if_false, operand } = program[at];
            at += 1;
            let mut skip = |holds: bool| at += usize::from(if holds { if_true } else { if_false });
            match code {
                LOAD_LENGTH => sum = frame.len() as u32,
                LOAD_HALF => sum = half(index + operand),
                LOAD_BYTE => sum = u32::from(frame[(index + operand) as usize]),
                LOAD_INDEX => index = operand,
                INDEX_FROM_SUM => index = sum,
                SUM_FROM_INDEX => sum = index,
                ADD => sum += operand,
                ADD_INDEX => sum += index,
                AND => sum &= operand,
                SHIFT_LEFT => sum <<= operand,
                IF_EQUAL => skip(sum == operand),
                IF_MORE => skip(sum > operand),
                IF_ANY => skip(sum & operand != 0),
                GO => at += operand as usize,
                KEEP => return operand,
                other => panic!("instruction {other:#x} is not used"),
            }
        }
    }

    /// A frame of 1,000 bytes: addresses, then `rest`.
    fn frame(rest: &[u8]) -> Vec<u8> {
        let mut frame = [&[2; 12], rest].concat();
        frame.resize(1_000, 0);
        frame
    }

    fn ipv4(protocol: u8, fragment: u16, ports: [u16; 2]) -> Vec<u8> {
        let mut packet = vec![0x08, 0x00, 0x45, 0, 3, 0xda, 0, 0];
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
        packet
    }

    #[test]
    fn bulk_is_cut_to_its_headers_and_the_rest_kept_whole() {
        let program = by_kind();
        let kept = |rest: &[u8]| keeps(&program, &frame(rest));
        assert_eq!(kept(&ipv4(6, 0x4000, [443, 40_000])), TCP);
        assert_eq!(kept(&ipv4(17, 0, [443, 40_000])), UDP);
        assert_eq!(kept(&ipv4(17, 0, [67, 68])), WHOLE);
        assert_eq!(kept(&ipv4(17, 0, [40_000, 67])), WHOLE);
        assert_eq!(kept(&ipv4(6, 0x2000, [443, 40_000])), WHOLE, "a first fragment");
        assert_eq!(kept(&ipv4(1, 0, [0, 0])), WHOLE, "ICMP");
        assert_eq!(kept(&[0x08, 0x06]), WHOLE, "ARP");
        assert_eq!(kept(&[0x00, 0x26, 0x42, 0x42, 0x03]), WHOLE, "a BPDU");
    }

    #[test]
    fn tags_are_looked_through_and_too_many_cost_only_room() {
        let program = by_kind();
        let tagged = |tags: &[[u8; 4]]| frame(&[&tags.concat()[..], &ipv4(6, 0, [443, 40_000])].concat());
        let tag = |tpid: u16| [(tpid >> 8) as u8, tpid as u8, 0, 100];
        assert_eq!(keeps(&program, &tagged(&[tag(0x8100)])), TCP);
        assert_eq!(keeps(&program, &tagged(&[tag(0x88a8), tag(0x8100)])), TCP);
        assert_eq!(keeps(&program, &tagged(&[tag(0x8100); 3])), TCP);
        assert_eq!(keeps(&program, &tagged(&[tag(0x8100); 4])), WHOLE);
        let dhcp = frame(&[&tag(0x8100)[..], &ipv4(17, 0, [68, 67])].concat());
        assert_eq!(keeps(&program, &dhcp), WHOLE);
    }

    #[test]
    fn ipv6_is_read_by_its_next_header() {
        let program = by_kind();
        let packet = |next: u8, ports: [u16; 2]| {
            let mut packet = vec![0x86, 0xdd, 0x60, 0, 0, 0, 3, 0xb2, next, 64];
            packet.extend([0; 32]);
            packet.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
            frame(&packet)
        };
        assert_eq!(keeps(&program, &packet(6, [1, 2])), TCP);
        assert_eq!(keeps(&program, &packet(17, [1, 2])), UDP);
        assert_eq!(keeps(&program, &packet(17, [546, 547])), WHOLE);
        assert_eq!(keeps(&program, &packet(58, [1, 2])), WHOLE);
    }

    #[test]
    fn a_short_frame_is_never_dropped_for_a_load_behind_its_end() {
        for length in 0..=SHORT as usize {
            assert_eq!(keeps(&by_kind(), &vec![0x81; length]), WHOLE);
        }
    }
}
