//! What tc drops where frames come in at a port (tc-flower(8), tc-u32(8), tc-matchall(8); linux/pkt_cls.h), read by netlink, which changes nothing and
//! needs no privilege. What eBPF decides, here or at XDP, is not read.

use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use super::chain::{Chain, Filter, Rule, Verdict};
use crate::event::Drop;
use crate::source::live::netlink::message::{self, Attribute, attributes, messages, request, u32_at};
use crate::value::Mac;

/// `RTM_GETTFILTER`, and what answers it (linux/rtnetlink.h).
const ASK_FILTERS: u16 = 46;
const NEW_FILTER: u16 = 44;
/// Bytes of `struct tcmsg`; in it `tcm_parent` and `tcm_info`.
const FIXED: usize = 20;
const INFO: usize = 16;
/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)`: where frames come in, with either queueing discipline that stands there.
const INGRESS: u32 = 0xffff_fff2;
/// Protocols of a filter that see BPDUs: all, 802.3 and 802.2 (linux/if_ether.h).
const SEE_BPDUS: [u16; 3] = [0x0003, 0x0001, 0x0004];

const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const CHAIN: u16 = 11;
// Of each kind what is done, and what it looks at.
const FLOWER_ACTIONS: u16 = 3;
const FLOWER_TO: u16 = 4;
const FLOWER_TO_MASK: u16 = 5;
const FLOWER_TYPE: u16 = 8;
/// Flags, and how many devices do it in hardware: nothing that is looked at.
const FLOWER_ASIDE: [u16; 3] = [1, 22, 86];
const MATCHALL_ACTIONS: u16 = 2;
const U32_LINK: u16 = 3;
const U32_SELECTOR: u16 = 5;
const U32_ACTIONS: u16 = 7;
const U32_DIVISOR: u16 = 4;
/// Bytes of `struct tc_u32_sel` without its keys, and of each key.
const SELECTOR: usize = 16;
const KEY: usize = 16;
/// Of an action its kind, and what it says.
const ACTION_KIND: u16 = 1;
const ACTION_OPTIONS: u16 = 2;
const GACT_PARAMETERS: u16 = 2;
/// Verdicts (linux/pkt_cls.h): go on, accept, drop, the next action.
const UNSPECIFIED: u32 = u32::MAX;
const OK: u32 = 0;
const SHOT: u32 = 2;
const PIPE: u32 = 3;
/// Bytes of one datagram of the answer.
const LONGEST: usize = 65_536;

/// What is dropped at the links with these numbers and names.
///
/// # Errors
/// When the kernel does not answer.
pub(super) fn drops(links: &[(u32, String)]) -> io::Result<Vec<Drop>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    let mut found = Vec::new();
    for (sequence, (index, name)) in (1..).zip(links) {
        found.extend(at_port(name, ask(&socket, sequence, *index)?).drops());
    }
    Ok(found)
}

/// Filters as a chain of the frames that come in at one port.
fn at_port(name: &str, rules: Vec<Rule>) -> Filter {
    let (ports, policy) = (Some(vec![name.to_owned()]), Verdict::Accept);
    Filter { chains: vec![Chain { name: String::new(), is_on_the_way: true, ports, policy, rules }] }
}

/// The rules at one link, in the order in which they are tried.
fn ask(socket: &Socket, sequence: u32, index: u32) -> io::Result<Vec<Rule>> {
    let body = [[0; 4], index.to_ne_bytes(), [0; 4], INGRESS.to_ne_bytes(), [0; 4]].concat();
    // The kernel answers within the call, and says at the end that it is the end.
    socket.send_to(&request(ASK_FILTERS, sequence, &body), &SocketAddr::new(0, 0), 0)?;
    let mut rules = Vec::new();
    loop {
        let mut datagram = Vec::with_capacity(LONGEST);
        let (_, from) = socket.recv_from(&mut datagram, 0)?;
        if from.port_number() != 0 {
            continue;
        }
        for message in messages(&datagram) {
            let message = message.map_err(|_| io::ErrorKind::InvalidData)?;
            match message.kind {
                _ if message.sequence != sequence => {}
                message::DONE => return Ok(rules),
                message::ERROR => {
                    let error = u32_at(message.body, 0).map_or(0, u32::cast_signed).saturating_neg();
                    return Err(io::Error::from_raw_os_error(error));
                }
                NEW_FILTER => rules.extend(rule(message.body)),
                _ => {}
            }
        }
    }
}

/// One filter; `None` where no BPDU comes by it, or it is only the head of others.
fn rule(body: &[u8]) -> Option<Rule> {
    let protocol = u16::from_be(u16::try_from(u32_at(body, INFO)? & 0xffff).ok()?);
    let mut kind = None;
    let (mut options, mut chain) = (None, 0);
    for attribute in attributes(body.get(FIXED..)?) {
        match attribute.kind {
            KIND => kind = Some(attribute.text()),
            OPTIONS => options = Some(attribute),
            CHAIN => chain = attribute.u32().unwrap_or(0),
            _ => {}
        }
    }
    // Chains but the first are only gone to by an action, which is not followed.
    let options = options.filter(|_| SEE_BPDUS.contains(&protocol) && chain == 0)?;
    match kind?.raw() {
        "flower" => Some(flower(&options)),
        "u32" => u32_filter(&options),
        "matchall" => Some(Rule { verdict: verdict(&options, MATCHALL_ACTIONS), ..all() }),
        _ => Some(Rule { is_narrower: true, verdict: Verdict::Unknown, ..all() }),
    }
}

const fn all() -> Rule {
    Rule { ports: None, to: None, is_narrower: false, verdict: Verdict::Continue }
}

fn flower(options: &Attribute<'_>) -> Rule {
    let mut rule = Rule { verdict: verdict(options, FLOWER_ACTIONS), ..all() };
    for attribute in options.nested() {
        match attribute.kind {
            FLOWER_TO => rule.to = attribute.array().map(|mac| vec![Mac(mac)]),
            FLOWER_TO_MASK => rule.is_narrower |= attribute.array() != Some([0xff; 6]),
            FLOWER_TYPE => rule.is_narrower |= !attribute.u16_of_network().is_some_and(|of| SEE_BPDUS.contains(&of)),
            FLOWER_ACTIONS => {}
            kind => rule.is_narrower |= !FLOWER_ASIDE.contains(&kind),
        }
    }
    rule
}

/// u32 looks at words before and behind the network header: the destination lies 14 bytes before it.
fn u32_filter(options: &Attribute<'_>) -> Option<Rule> {
    let part = |kind| options.nested().find(|a| a.kind == kind);
    if part(U32_LINK).is_some() {
        return Some(Rule { is_narrower: true, verdict: Verdict::Unknown, ..all() });
    }
    // The head of a table of filters is told like a filter.
    let Some(selector) = part(U32_SELECTOR) else {
        return part(U32_DIVISOR).is_none().then(|| Rule { is_narrower: true, verdict: Verdict::Unknown, ..all() });
    };
    let mut rule = Rule { verdict: verdict(options, U32_ACTIONS), ..all() };
    let (mut to, mut mask) = ([0; 6], [0; 6]);
    let keys = usize::from(*selector.value.get(2)?);
    for key in selector.value.get(SELECTOR..)?.chunks_exact(KEY).take(keys) {
        let (bits, word) = (key.first_chunk::<4>()?, key.get(4..)?.first_chunk::<4>()?);
        let (at, moved) = (u32_at(key, 8)?.cast_signed(), u32_at(key, 12)?);
        rule.is_narrower |= moved != 0;
        for ((bits, byte), at) in bits.iter().zip(word).zip(at..) {
            let place = at.checked_add(14).and_then(|at| usize::try_from(at).ok());
            match place.and_then(|place| Some((to.get_mut(place)?, mask.get_mut(place)?))) {
                Some((to, mask)) => (*to, *mask) = (*to | byte, *mask | bits),
                None => rule.is_narrower |= *bits != 0,
            }
        }
    }
    if mask == [0xff; 6] {
        rule.to = Some(vec![Mac(to)]);
    } else {
        rule.is_narrower |= mask != [0; 6];
    }
    Some(rule)
}

/// What the actions of a filter come to: the first that is no plain word ends what is understood.
fn verdict(options: &Attribute<'_>, actions: u16) -> Verdict {
    let Some(actions) = options.nested().find(|a| a.kind == actions) else { return Verdict::Continue };
    for action in actions.nested() {
        let part = |kind| action.nested().find(|a| a.kind == kind);
        let is_plain = part(ACTION_KIND).is_some_and(|kind| kind.text().raw() == "gact");
        let word = part(ACTION_OPTIONS)
            .and_then(|options| options.nested().find(|a| a.kind == GACT_PARAMETERS))
            .and_then(|parameters| u32_at(parameters.value, 8));
        match word.filter(|_| is_plain) {
            Some(SHOT) => return Verdict::Drop,
            Some(OK) => return Verdict::Accept,
            Some(UNSPECIFIED) => return Verdict::Continue,
            Some(PIPE) => {}
            _ => return Verdict::Unknown,
        }
    }
    Verdict::Continue
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len() + 4).unwrap();
        let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// A filter as the kernel tells it: `struct tcmsg`, its kind and its options.
    fn filter(protocol: u16, kind: &str, options: &[u8]) -> Vec<u8> {
        let info = 1 << 16 | u32::from(protocol.to_be());
        let head = [[0; 16].as_slice(), &info.to_ne_bytes()].concat();
        [head, attribute(KIND, format!("{kind}\0").as_bytes()), attribute(OPTIONS, options)].concat()
    }

    fn plain(word: u32) -> Vec<u8> {
        let parameters = [1, 0, word, 1, 1].map(u32::to_ne_bytes).concat();
        let options = attribute(ACTION_OPTIONS, &attribute(GACT_PARAMETERS, &parameters));
        attribute(1, &[attribute(ACTION_KIND, b"gact\0"), options].concat())
    }

    fn told(filters: &[Vec<u8>]) -> Vec<Mac> {
        let drops = at_port("tap7", filters.iter().filter_map(|body| rule(body)).collect()).drops();
        drops.iter().filter(|drop| drop.port.raw() == "tap7").map(|drop| drop.to).collect()
    }

    fn flower(protocol: u16, to: Mac, action: u32) -> Vec<u8> {
        let to = [attribute(FLOWER_TO, &to.0), attribute(FLOWER_TO_MASK, &[0xff; 6])].concat();
        filter(protocol, "flower", &[to, attribute(FLOWER_ACTIONS, &plain(action))].concat())
    }

    #[test]
    fn flower_drops_one_destination() {
        assert_eq!(told(&[flower(3, Mac::BRIDGES, SHOT)]), [Mac::BRIDGES]);
        assert_eq!(told(&[flower(4, Mac::PVST, SHOT), flower(3, Mac::BRIDGES, SHOT)]), [Mac::PVST, Mac::BRIDGES]);
        assert_eq!(told(&[flower(0x0800, Mac::BRIDGES, SHOT)]), [], "no BPDU is an IP packet");
        assert_eq!(told(&[flower(3, Mac::BRIDGES, OK), flower(3, Mac::BRIDGES, SHOT)]), []);
        let anything = filter(3, "matchall", &attribute(MATCHALL_ACTIONS, &plain(OK)));
        assert_eq!(told(&[anything, flower(3, Mac::BRIDGES, SHOT)]), []);
        assert_eq!(told(&[filter(3, "bpf", &[]), flower(3, Mac::BRIDGES, SHOT)]), [], "it may let pass");
    }

    #[test]
    fn u32_compares_words_around_the_network_header() {
        // `match ether dst 01:80:c2:00:00:00`: two keys, 16 and 12 bytes before it.
        let key = |mask: [u8; 4], word: [u8; 4], at: i32| [mask, word, at.to_ne_bytes(), [0; 4]].concat();
        let keys = [key([0, 0, 0xff, 0xff], [0, 0, 1, 0x80], -16), key([0xff; 4], [0xc2, 0, 0, 0], -12)].concat();
        let selector = |keys: &[u8], n: u8| attribute(U32_SELECTOR, &[&[1, 0, n][..], &[0; 13], keys].concat());
        let drop = attribute(U32_ACTIONS, &plain(SHOT));
        let of = |keys: &[u8], n: u8| filter(3, "u32", &[selector(keys, n), drop.clone()].concat());
        assert_eq!(told(&[of(&keys, 2)]), [Mac::BRIDGES]);
        assert_eq!(told(&[of(&keys[..16], 1)]), [], "two bytes of six");
        let more = [keys.clone(), key([0xff, 0, 0, 0], [7, 0, 0, 0], 0)].concat();
        assert_eq!(told(&[of(&more, 3)]), [], "it looks at more");
        let head = filter(3, "u32", &attribute(U32_DIVISOR, &1_u32.to_ne_bytes()));
        assert_eq!(told(&[head, of(&keys, 2)]), [Mac::BRIDGES]);
    }

    #[test]
    fn what_is_cut_is_no_filter() {
        let whole = flower(3, Mac::BRIDGES, SHOT);
        for cut in 0..whole.len() {
            assert_eq!(told(&[whole[..cut].to_vec()]), [], "cut at {cut}");
        }
    }
}
