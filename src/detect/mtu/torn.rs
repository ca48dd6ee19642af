//! Packets that lack pieces, for MTU006: what is known of a pair of hosts, and what is said of it, or of one host and the many others with which
//! it is so (findings.md 1.2).

use std::net::IpAddr;

use crate::detect::{Context, many};
use crate::event::{Cited, Place, VantageId};
use crate::finding::{Claim, Command, Confidence, Key, Severity};
use crate::value::Timestamp;
use crate::world::{DomainId, Pieces, Torn};

/// Packets that must lack something, and from how many on, with half of all, it is certain (findings.md, MTU006).
pub const TORN: u32 = 3;
const CERTAIN: u32 = 10;
/// Frames that are cited of a pair.
const CITED: usize = 4;

/// Sender, receiver, protocol.
pub type Ends = (IpAddr, IpAddr, u8);

/// What many pairs have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Common {
    /// The receiver.
    To(IpAddr),
    /// The sender.
    From(IpAddr),
}

/// What is known of one pair.
pub struct Loss {
    /// The network by the name that it had then.
    pub domain: DomainId,
    /// The network that stood then for all that were the same.
    pub root: DomainId,
    /// The latest news.
    pub last: Timestamp,
    /// How many packets were whole, and what the others lack.
    pub pieces: Pieces,
    vantage: VantageId,
    first: Timestamp,
    /// The outer tag, where two tags leave no room for a piece that fills the link: then the loss is MTU001's.
    tight: Option<String>,
    is_one_member: bool,
    may_be_filtered: bool,
    is_told: bool,
    earliest: Cited,
    cited: usize,
    fresh: Vec<Cited>,
}

/// What the pieces of one pair, or of many, come to.
struct Verdict {
    pieces: Pieces,
    is_told: bool,
    is_one_member: bool,
    may_be_filtered: bool,
}

impl Common {
    /// What a pair may have in common with others.
    pub const fn of((src, dst, _): &Ends) -> [Self; 2] {
        [Self::To(*dst), Self::From(*src)]
    }

    /// The other end of a pair.
    pub const fn other(self, (src, dst, _): &Ends) -> IpAddr {
        match self {
            Self::To(_) => *src,
            Self::From(_) => *dst,
        }
    }

    /// The key of what is said of many.
    pub fn key(self) -> Key {
        match self {
            Self::To(host) => Key::new().with("dst", host),
            Self::From(host) => Key::new().with("src", host),
        }
    }
}

impl Loss {
    /// What the first torn packet of a pair tells.
    pub fn new(torn: &Torn, cx: &Context<'_>) -> Self {
        let stack = cx.world.domains.stack(torn.domain);
        let outer = stack.outer().filter(|_| stack.depth() > 1);
        Self {
            domain: torn.domain,
            root: cx.world.domains.root(torn.domain),
            last: cx.now,
            pieces: torn.pieces,
            vantage: torn.vantage,
            first: torn.first,
            tight: outer.map(|(tpid, vid)| format!("{tpid}:{vid}")),
            is_one_member: is_one_member(torn, cx),
            may_be_filtered: torn.may_be_filtered,
            is_told: false,
            earliest: torn.cited.clone(),
            cited: 0,
            fresh: Vec::new(),
        }
    }

    /// Takes in one more packet that lacks something; `is_told` if the receiver says so itself.
    pub fn note(&mut self, torn: &Torn, is_told: bool, now: Timestamp) {
        (self.last, self.pieces, self.is_told) = (now, torn.pieces, is_told);
        (self.vantage, self.may_be_filtered) = (torn.vantage, torn.may_be_filtered);
        if self.cited < CITED {
            self.cited = self.cited.saturating_add(1);
            self.fresh.push(torn.cited.clone());
        }
    }

    /// Whether it counts among others: enough lack something, or half of the few that there were.
    pub const fn counts(&self) -> bool {
        let Pieces { complete, incomplete, .. } = self.pieces;
        incomplete >= TORN || incomplete >= complete
    }

    /// The outer tag, where the pieces that fill the link are those that are missing.
    fn outer(&self) -> Option<&str> {
        self.tight.as_deref().filter(|_| self.pieces.first > self.pieces.last)
    }
}

impl Verdict {
    const fn is_certain(&self) -> bool {
        let Pieces { complete, incomplete, .. } = self.pieces;
        let is_clear = incomplete >= CERTAIN && incomplete >= complete;
        (is_clear && !self.is_one_member && !self.may_be_filtered) || (self.is_told && !self.is_one_member)
    }

    /// Which piece most of them lack, and whether so many that it is no chance: a size or a rule takes the same piece of every packet.
    fn which(&self) -> (&'static str, bool) {
        let Pieces { complete, incomplete, first, last, middle, .. } = self.pieces;
        let (which, most) = match first.max(last).max(middle) {
            most if most == first => ("first", first),
            most if most == last => ("last", last),
            most => ("middle", most),
        };
        (which, most.saturating_mul(10) >= complete.saturating_add(incomplete).saturating_mul(9))
    }

    /// `11 of 11 packets in pieces (UDP) lack their last piece`, and why.
    fn sentence(&self, protocols: &str) -> String {
        let Pieces { complete, incomplete, .. } = self.pieces;
        let all = complete.saturating_add(incomplete);
        let (which, is_rule) = self.which();
        let why = match which {
            "first" if is_rule => {
                ": the long piece is lost and the short last one arrives, as where a hop takes less than the sender thinks"
            }
            "last" if is_rule => {
                ": the first piece arrives, which has the ports, and the others do not, as behind a firewall that does not put packets together"
            }
            _ => ", as pieces are lost by chance on a bad or a full link",
        };
        let said = if self.is_told { " The receiver says that it waited in vain." } else { "" };
        format!("{incomplete} of {all} packets in pieces ({protocols}) lack their {which} piece{why}.{said}")
    }

    /// A claim with what was counted, causes and remedies; `host` is whom to ask which size passes.
    fn claim(&self, key: Key, headline: String, host: IpAddr) -> Claim {
        let Pieces { complete, incomplete, first, last, middle, largest } = self.pieces;
        let (confidence, severity) = match self.is_certain() {
            true => (Confidence::Confirmed, Severity::Error),
            false => (Confidence::Likely, Severity::Warning),
        };
        let claim = Claim::new(key, confidence, severity, headline)
            .number("incomplete", incomplete)
            .number("complete", complete)
            .number("first_missing", first)
            .number("last_missing", last)
            .number("middle_missing", middle)
            .number("largest_piece_seen", largest);
        let claim = match self.which() {
            (_, false) => claim
                .cause("loss on the way, which a packet in pieces meets once for each piece")
                .cause("the pieces take different members of a bond, and one of them loses frames"),
            ("last", true) => claim
                .cause("a firewall or security group that judges by ports, which only the first piece has")
                .cause("the pieces take different members of a bond, and one of them loses frames"),
            (_, true) => claim
                .cause("a hop on the way takes less than the sender thinks (MTU001, MTU003, MTU007)")
                .cause("a firewall that drops pieces"),
        };
        let claim = if self.is_one_member {
            claim.assuming("this is one member of a bond: the other pieces may travel on another")
        } else {
            claim
        };
        let claim = if self.may_be_filtered && !self.is_told {
            claim.assuming(
                "the capture was not filtered by ports: only first pieces have them, and nothing without was seen here",
            )
        } else {
            claim
        };
        claim
            .step("See whether the receiver waits in vain", "nstat -az | grep -i reasm")
            .step("Find the size that passes whole", Command::with("ping -M do -c 3 -s 1472 {}", &[&host]))
            .step("Avoid pieces: NFS over TCP, a smaller MTU for the tunnel's inner network; or let them through the firewall", "")
    }
}

/// What is said of one pair alone.
pub fn claim_of_one(key: Key, (src, dst, protocol): &Ends, loss: &mut Loss) -> Claim {
    let Loss { pieces, is_told, is_one_member, may_be_filtered, .. } = *loss;
    let verdict = Verdict { pieces, is_told, is_one_member, may_be_filtered };
    let headline = format!("{src} → {dst}: {}", verdict.sentence(&protocol_name(*protocol)));
    let claim = verdict
        .claim(key, headline, *dst)
        .seen(loss.first, pieces.incomplete.into())
        .at(loss.vantage)
        .proved_by(loss.fresh.drain(..))
        .filter(filter(Some(*src), Some(*dst)));
    loss.outer().into_iter().fold(claim, |claim, outer| claim.number("outer", outer))
}

/// What is said of the many in `pairs`, of whom there may be more if `at_least` says so; `is_first` where it is said anew.
pub fn claim_of_many(key: Key, common: Common, at_least: &str, pairs: &[(Ends, &Loss)], is_first: bool) -> Claim {
    let mut by_time: Vec<&Loss> = pairs.iter().map(|(_, loss)| *loss).collect();
    by_time.sort_by_key(|loss| loss.first);
    let sum = |of: fn(&Pieces) -> u32| by_time.iter().fold(0_u32, |sum, loss| sum.saturating_add(of(&loss.pieces)));
    let pieces = Pieces {
        complete: sum(|p| p.complete),
        incomplete: sum(|p| p.incomplete),
        first: sum(|p| p.first),
        last: sum(|p| p.last),
        middle: sum(|p| p.middle),
        largest: by_time.iter().map(|loss| loss.pieces.largest).max().unwrap_or(0),
    };
    let verdict = Verdict {
        pieces,
        is_told: by_time.iter().any(|loss| loss.is_told),
        is_one_member: by_time.iter().any(|loss| loss.is_one_member),
        may_be_filtered: by_time.iter().all(|loss| loss.may_be_filtered),
    };
    let protocols = many::distinct(pairs.iter().map(|((.., protocol), _)| protocol_name(*protocol))).join(", ");
    let others = many::distinct(pairs.iter().map(|(ends, _)| common.other(ends)));
    let (count, listed, sentence) = (others.len(), many::listed(&others), verdict.sentence(&protocols));
    let ending = if count == 1 { "" } else { "s" };
    let headline = match common {
        Common::To(host) => format!("{at_least}{count} sender{ending} ({listed}) → {host}: {sentence}"),
        Common::From(host) => format!("{host} → {at_least}{count} receiver{ending} ({listed}): {sentence}"),
    };
    let asked = match common {
        Common::To(host) => host,
        Common::From(host) => others.first().copied().unwrap_or(host),
    };
    let latest = by_time.iter().max_by_key(|loss| loss.last);
    let cited = by_time.iter().map(|loss| loss.earliest.clone()).take(if is_first { many::CITED } else { 0 });
    let first = by_time.first().map_or(Timestamp::MIN, |loss| loss.first);
    let claim = verdict
        .claim(key, headline, asked)
        .seen(first, pieces.incomplete.into())
        .number("others", count)
        .proved_by(cited)
        .filter(match common {
            Common::To(host) => filter(None, Some(host)),
            Common::From(host) => filter(Some(host), None),
        });
    let claim = latest.into_iter().fold(claim, |claim, loss| claim.at(loss.vantage).until(loss.last));
    // What all have in common is what may explain them.
    let claim = match common {
        Common::To(host) => claim.number("common_dst", host.to_string()),
        Common::From(host) => claim.number("common_src", host.to_string()),
    };
    match many::distinct(by_time.iter().map(|loss| loss.outer())).as_slice() {
        [Some(outer)] => claim.number("outer", (*outer).to_owned()),
        _ => claim,
    }
}

/// How a protocol above IP is called.
pub fn protocol_name(protocol: u8) -> String {
    match protocol {
        1 => "ICMP".to_owned(),
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        47 => "GRE".to_owned(),
        58 => "ICMPv6".to_owned(),
        other => format!("protocol {other}"),
    }
}

/// Whether the piece was seen on a member of a bond, by the host's word or, where that is not given, by nothing that speaks against it.
fn is_one_member(torn: &Torn, cx: &Context<'_>) -> bool {
    let name = cx.world.interface(torn.vantage);
    let is_nic = cx.world.vantage(torn.vantage).is_some_and(|vantage| vantage.place == Place::Nic);
    let has_bond = cx.world.vantages().iter().any(|(_, vantage)| vantage.place == Place::Bond);
    is_nic && !has_bond && cx.world.host.master(&name).is_some()
}

/// Wireshark's filter for the pieces from one host, or to one, or both.
fn filter(src: Option<IpAddr>, dst: Option<IpAddr>) -> String {
    let is_ipv4 = src.or(dst).is_none_or(|host| host.is_ipv4());
    let (name, pieces) =
        if is_ipv4 { ("ip", "(ip.flags.mf == 1 || ip.frag_offset > 0)") } else { ("ipv6", "ipv6.fraghdr") };
    let from = src.map(|src| format!("{name}.src == {src} && ")).unwrap_or_default();
    let to = dst.map(|dst| format!("{name}.dst == {dst} && ")).unwrap_or_default();
    format!("{from}{to}{pieces}")
}
