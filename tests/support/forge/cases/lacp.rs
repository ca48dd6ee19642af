//! Link aggregation and neighbours: members whose partner falls silent, is the wrong one, never speaks or does not hear; and members as they should be.

use netdiag::value::Mac;

use super::super::stp::Port;
use super::super::{NODE, Pcapng, SWITCH, Shot, at, frame};
use super::guard::{by_time, stream};
use super::{Case, case};

/// A second switch that is no pair with the first.
const STRANGER: Mac = Mac([0x00, 0x1c, 0x73, 0x00, 0x00, 0x91]);
/// What both switches of a pair say their system is.
const PAIR: Mac = Mac([0x02, 0x1c, 0x73, 0x00, 0x00, 0xaa]);
const EXPIRED: u8 = 0x80;
const DEFAULTED: u8 = 0x40;
const SLOW: u8 = 0x3d;

pub fn cases() -> Vec<Case> {
    vec![
        case("lacp/partner-falls-silent", "eth2.pcapng", falls_silent()),
        case("lacp/partner-falls-silent-then-back", "eth2.pcapng", silent_then_back()),
        case("lacp/two-systems-in-one-bond", "node.pcapng", two_members(STRANGER)),
        case("lacp/nobody-answers", "eth2.pcapng", nobody_answers()),
        case("lacp/switch-does-not-hear-us", "eth2.pcapng", one_way()),
        case("healthy/lacp-slow", "eth2.pcapng", slow()),
        case("healthy/lacp-pair-of-switches", "node.pcapng", two_members(PAIR)),
        case("healthy/lacp-link-comes-up", "eth2.pcapng", comes_up()),
    ]
}

fn us(state: u8) -> Port {
    Port { state, ..Port::in_step(NODE, 1) }
}

fn them(state: u8) -> Port {
    Port { state, ..Port::in_step(SWITCH, 35) }
}

fn theirs(t: f64, actor: Port, partner: Port) -> Shot {
    at(t, frame().from(SWITCH).lacp_from(actor, partner)).inward()
}

fn ours(t: f64, actor: Port, partner: Port) -> Shot {
    at(t, frame().from(NODE).lacp_from(actor, partner)).outward()
}

/// Both ends in step, once a second.
fn in_step(from: u32, to: u32) -> Vec<Shot> {
    let both = |t: u32| {
        let t = f64::from(t) + 0.3;
        [theirs(t, them(0x3f), us(0x3f)), ours(t + 0.01, us(0x3f), them(0x3f))]
    };
    (from..to).flat_map(both).collect()
}

fn eth2(shots: Vec<Shot>) -> Vec<u8> {
    Pcapng::with_interfaces(&["eth2"]).frames(by_time(shots)).bytes()
}

/// From 20 s on the switch is silent: the host's state expires at 23 s and falls back to defaults at 26 s.
fn silence(from: u32, to: u32) -> Vec<Shot> {
    let say = |t: u32| match t - from {
        0..3 => ours(f64::from(t) + 0.31, us(0x3f), them(0x3f)),
        3..6 => ours(f64::from(t) + 0.31, us(0x07 | EXPIRED), them(0x37)),
        _ => ours(f64::from(t) + 0.31, us(0x07 | DEFAULTED), Port::nobody()),
    };
    (from..to).map(say).collect()
}

fn falls_silent() -> Vec<u8> {
    eth2([in_step(0, 20), silence(20, 40)].concat())
}

fn silent_then_back() -> Vec<u8> {
    eth2([in_step(0, 20), silence(20, 40), in_step(40, 60)].concat())
}

/// Two members, each in step with its switch; the second's is `other`, and where it is a pair the first says the same.
fn two_members(other: Mac) -> Vec<u8> {
    let first = if other == PAIR { PAIR } else { SWITCH };
    let mut shots = Vec::new();
    for (interface, system, from, port) in [(0, first, SWITCH, 35), (1, other, STRANGER, 135)] {
        let near = Port::in_step(NODE, interface as u16 + 1);
        let far = Port::in_step(system, port);
        for i in 0..30 {
            let t = f64::from(i) + 0.3 + f64::from(interface) / 100.0;
            shots.push(at(t, frame().from(from).lacp_from(far, near)).inward().on(interface));
            shots.push(at(t + 0.005, frame().from(NODE).lacp_from(near, far)).outward().on(interface));
        }
    }
    Pcapng::with_interfaces(&["eth2", "eth3"]).frames(by_time(shots)).bytes()
}

/// The host speaks at the slow rate, for two minutes and a half; the switch sends other frames, and no LACPDU.
fn nobody_answers() -> Vec<u8> {
    let own = (0..6).map(|i| ours(30.0 * f64::from(i) + 0.31, us(0x45), Port::nobody()));
    eth2([own.collect(), stream(0.0, 155.0)].concat())
}

/// The switch speaks each second and names nobody, although the host speaks too.
fn one_way() -> Vec<u8> {
    let both = |t: u32| {
        let t = f64::from(t) + 0.3;
        [theirs(t, them(0x47), Port::nobody()), ours(t + 0.01, us(0x0f), them(0x47))]
    };
    eth2((0..20).flat_map(both).collect())
}

/// Both ends in step at the slow rate: half a minute between two LACPDUs.
fn slow() -> Vec<u8> {
    let both = |i: u32| {
        let t = 30.0 * f64::from(i) + 0.3;
        [theirs(t, them(SLOW), us(SLOW)), ours(t + 0.01, us(SLOW), them(SLOW))]
    };
    eth2([(0..8).flat_map(both).collect(), stream(0.0, 215.0)].concat())
}

/// A link comes up: at first nobody has heard anybody.
fn comes_up() -> Vec<u8> {
    let start = [
        ours(0.0, us(0x47), Port::nobody()),
        theirs(0.2, them(0x47), Port::nobody()),
        ours(0.3, us(0x47), Port::nobody()),
        theirs(1.0, them(0x4f), us(0x47)),
        ours(1.1, us(0x0f), them(0x4f)),
    ];
    eth2([start.to_vec(), in_step(2, 20)].concat())
}
