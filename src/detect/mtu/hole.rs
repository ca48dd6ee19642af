//! What was seen of one path on which large packets vanish: which connections, which sizes, and the sentence that says it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::event::Cited;
use crate::finding::{Claim, Command, Confidence, Key, Severity, Way};
use crate::value::{Fingerprint, Span, Timestamp};
use crate::world::{Path, Stuck, Told};

/// Connections that are remembered of one path; further ones change nothing.
const MOST_FLOWS: usize = 256;
/// Connections whose frames are cited, and frames of each.
const CITED_FLOWS: usize = 2;
/// Pairs of hosts that are written out.
const SHOWN: usize = 8;

/// A path and what is lost on it.
pub struct Hole {
    /// The path, as it was seen first.
    pub path: Path,
    flows: BTreeMap<Ends, Lost>,
    /// Echo requests: the largest size that was answered, the smallest that was not, and how many were not.
    pub pings: Option<(u32, u32, u32)>,
    /// The largest echo request that was answered, of those that are smaller than what is lost.
    pub answered: Option<u32>,
    /// The pieces in which a segment arrived that had not arrived whole.
    pub pieces: Option<u32>,
    /// The last of several places where the packet was seen, if it leaves the host there.
    pub left: Option<String>,
    /// Where the packet was seen, and where along the same network it was not; and its way.
    pub missing: Option<(String, String, Way)>,
    /// Whether it was claimed.
    pub is_raised: bool,
    /// The latest repeat, until its sightings are in.
    pub latest: Option<Latest>,
    /// Frames that were not claimed before.
    pub fresh: Vec<Cited>,
    cited: usize,
}

/// A repeat: by what its sightings are found, of which connection, and since when that is stuck.
#[derive(Clone, Copy)]
pub struct Latest {
    /// By what its sightings are found.
    pub packet: Fingerprint,
    /// Sender, receiver and their ports.
    pub ends: Ends,
    /// When the segment was repeated first.
    pub first: Timestamp,
}

/// Sender, receiver and their ports.
type Ends = (IpAddr, IpAddr, (u16, u16));

/// A segment of one connection.
#[derive(Clone, Copy)]
struct Lost {
    packet_len: u32,
    payload: u32,
    sends: u32,
    delivered: u32,
    most: Option<u32>,
    is_whole: bool,
    first: Timestamp,
    last: Timestamp,
}

/// What the claim needs to know besides.
pub struct Setting<'a> {
    /// What a router said of the path, if one did.
    pub told: Option<&'a Told>,
    /// Whether the vantage lies before all that could tell where it happens: inside a guest, at its tap or bridge.
    pub is_blind: bool,
    /// The outer of two tags that leave no room for the packet, as a key shows it.
    pub outer: Option<String>,
    /// The largest packet that these tags leave room for.
    pub fits: Option<u32>,
}

impl Hole {
    /// A path of which nothing was seen yet.
    pub const fn new(path: Path) -> Self {
        Self {
            path,
            flows: BTreeMap::new(),
            pings: None,
            answered: None,
            pieces: None,
            missing: None,
            left: None,
            is_raised: false,
            latest: None,
            fresh: Vec::new(),
            cited: 0,
        }
    }

    /// A segment is stuck.
    pub fn add(&mut self, stuck: &Stuck) {
        let ends = (stuck.path.src, stuck.path.dst, stuck.ports);
        let lost = Lost {
            packet_len: stuck.packet_len,
            payload: stuck.payload,
            sends: stuck.sends,
            delivered: if stuck.delivered < stuck.packet_len { stuck.delivered } else { 0 },
            most: stuck.most,
            is_whole: stuck.is_whole,
            first: stuck.first,
            last: stuck.last,
        };
        self.latest = stuck.packet.map(|packet| Latest { packet, ends, first: stuck.first }).or(self.latest);
        if let Some(known) = self.flows.get_mut(&ends) {
            // Seen from several places, or again: the place that saw most of it tells.
            if known.sends <= lost.sends {
                let (first, delivered) = (known.first.min(lost.first), known.delivered.max(lost.delivered));
                *known = Lost { first, delivered, ..lost };
            }
            return;
        }
        if self.flows.len() < MOST_FLOWS {
            self.flows.insert(ends, lost);
        }
        if self.cited < CITED_FLOWS {
            self.cited = self.cited.saturating_add(1);
            self.fresh.extend(stuck.cited.iter().cloned());
        }
    }

    /// The smallest packet that is lost.
    pub fn smallest_lost(&self) -> Option<u32> {
        let pinged = self.pings.map(|(_, lost, _)| lost);
        self.flows.values().map(|lost| lost.packet_len).chain(pinged).min()
    }

    /// The largest packet that arrives; 0 if none is known.
    pub fn largest_delivered(&self) -> u32 {
        let below = self.smallest_lost().unwrap_or(u32::MAX);
        let pinged = self.pings.map(|(answered, ..)| answered);
        let flows = self.flows.values().map(|lost| lost.delivered);
        flows.chain(pinged).chain(self.answered).chain(self.pieces).filter(|size| *size < below).max().unwrap_or(0)
    }

    /// When it was seen first.
    pub fn first(&self) -> Option<Timestamp> {
        self.flows.values().map(|lost| lost.first).min()
    }

    /// The claim about it.
    pub fn claim(&mut self, key: Key, setting: &Setting<'_>) -> Claim {
        let is_proven =
            self.pings.is_some() || self.pieces.is_some() || self.missing.is_some() || setting.told.is_some();
        let (confidence, severity) = match (self.flows.len(), is_proven) {
            (0 | 1, false) => (Confidence::Likely, Severity::Error),
            (0 | 1, true) => (Confidence::Confirmed, Severity::Error),
            _ => (Confidence::Confirmed, Severity::Critical),
        };
        let (lost, delivered) = (self.smallest_lost().unwrap_or(0), self.largest_delivered());
        let mut headline = self.loss(lost, delivered);
        headline.push_str(&match setting.told {
            None => " No 'fragmentation needed' message was seen.".to_owned(),
            Some(Told { reporter, mtu: 0, .. }) => format!(" {reporter} says that it is too large, and not for what."),
            Some(Told { reporter, mtu, .. }) => format!(" {reporter} says that the path takes {mtu} bytes."),
        });
        if let Some((seen, missing, _)) = &self.missing {
            headline.push_str(&format!(" It is seen on {seen} and never on {missing}: it is dropped between them."));
        } else if let Some(left) = &self.left {
            headline.push_str(&format!(" It is seen at {left}, and lost behind that."));
        } else if setting.is_blind {
            headline.push_str(
                " Where, cannot be told from here: a second VLAN tag or a tunnel on the way is the usual cause, and a capture on the host's bond decides.",
            );
        }
        let pairs: Vec<String> = self.pairs().iter().take(SHOWN).map(|(src, dst)| format!("{src} {dst}")).collect();
        let (src, dst) = (self.path.src, self.path.dst);
        let sends = self.flows.values().map(|lost| lost.sends).max().unwrap_or(0);
        let count = self.flows.values().fold(0_u64, |sum, lost| sum.saturating_add(lost.sends.into()));
        let most = self.flows.values().filter_map(|lost| lost.most).max();
        let mut claim = Claim::new(key, confidence, severity, headline)
            .seen(self.first().unwrap_or(Timestamp::MAX), count.max(self.pings.map_or(0, |(_, _, n)| n.into())))
            .number("smallest_lost", lost)
            .number("largest_delivered", delivered)
            .number("connections", self.flows.len())
            .number("sends", sends)
            .number("pairs", pairs.join(", "))
            .number("src", src.to_string())
            .number("dst", dst.to_string())
            .number("dont_fragment", if self.flows.values().all(|lost| lost.is_whole) { "yes" } else { "no" })
            .proved_by(self.fresh.drain(..))
            .going(self.missing.iter().map(|(.., way)| way.clone()))
            .filter(filter(src, dst, delivered.max(576)));
        if let Some(most) = most {
            claim = claim.number("largest_payload_agreed", most);
        }
        if let Some(outer) = &setting.outer {
            claim = claim.number("outer", outer.clone());
        }
        if self.missing.is_some() {
            claim = claim.cause("a bridge, tap or bond between the two takes less than the sender thinks; on Linux it drops the frame and says nothing");
        }
        advise(claim, dst, lost, setting.fits.unwrap_or(if delivered > 576 { delivered } else { 1_280 }))
    }

    /// What is lost and what is not.
    fn loss(&self, lost: u32, delivered: u32) -> String {
        let arrive = match delivered {
            0 => "small ones arrive".to_owned(),
            delivered => format!("those of up to {delivered} arrive"),
        };
        let longest = self.flows.iter().max_by_key(|(_, lost)| (lost.sends, lost.last));
        let Some(((src, dst, _), worst)) = longest else {
            let lost_pings = self.pings.map_or(0, |(_, _, n)| n);
            return format!(
                "{} → {}: echo requests of {lost} bytes vanish ({lost_pings} unanswered), while {arrive}.",
                self.path.src, self.path.dst
            );
        };
        let others = match self.flows.len() {
            1 => String::new(),
            2 => " and 1 connection more".to_owned(),
            n => format!(" and {} connections more", n.saturating_sub(1)),
        };
        let span: Span = worst.last.since(worst.first);
        let mut sentence = format!(
            "{src} → {dst}{others}: packets of {lost} bytes vanish, while {arrive}. The same {}-byte segment was sent {} times, the repeats over {span}",
            worst.payload, worst.sends
        );
        match self.pieces {
            Some(piece) => sentence.push_str(&format!(", and arrived in packets of up to {piece} bytes.")),
            None => sentence.push_str(", and never acknowledged."),
        }
        sentence
    }

    fn pairs(&self) -> Vec<(IpAddr, IpAddr)> {
        let mut pairs: Vec<_> = self.flows.keys().map(|(src, dst, _)| (*src, *dst)).collect();
        pairs.dedup();
        pairs
    }
}

fn filter(src: IpAddr, dst: IpAddr, above: u32) -> String {
    if src.is_ipv4() {
        format!("ip.src == {src} && ip.dst == {dst} && (ip.len > {above} || icmp.type == 3)")
    } else {
        format!(
            "ipv6.src == {src} && ipv6.dst == {dst} && (ipv6.plen > {} || icmpv6.type == 2)",
            above.saturating_sub(40)
        )
    }
}

fn advise(claim: Claim, dst: IpAddr, lost: u32, fits: u32) -> Claim {
    // An echo request has 8 bytes of header behind 20 of IPv4 or 40 of IPv6.
    let headers = if dst.is_ipv4() { 28 } else { 48 };
    let large = lost.saturating_sub(headers);
    let small = fits.saturating_sub(headers);
    claim
        .cause("two VLAN tags on a link that was made for one (MTU001)")
        .cause("a tunnel on the way whose headers leave less room than the sender thinks (MTU007)")
        .cause("a bridge, bond or switch port on the way with a smaller MTU than the ends have")
        .cause("a router on the way would say so, and a firewall or security group drops the message")
        .step(
            "Find the size that passes: this one vanishes",
            Command::with("ping -M do -c 3 -s {} {}", &[&large, &dst]),
        )
        .step("And this one should be answered", Command::with("ping -M do -c 3 -s {} {}", &[&small, &dst]))
        .step("Find the hop", Command::with("tracepath -n {}", &[&dst]))
        .step(
            "Look for drops at each device on the way through this host, and mend the MTU of the one that drops",
            "ip -s link",
        )
        .step(
            "Let 'fragmentation needed' (ICMP type 3 code 4, ICMPv6 type 2) through firewalls and security groups",
            "",
        )
        .step(
            "Until then, cut the segments at the router",
            "nft add rule inet mangle forward tcp flags syn tcp option maxseg size set rt mtu",
        )
        .step("Or let the sender find out by itself", "sysctl -w net.ipv4.tcp_mtu_probing=1")
}
