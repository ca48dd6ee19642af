//! L2005: a bridge sends a guest what is meant for others (IEEE 802.1D-2004 clause 7.7.1: a frame for an address that the bridge does not know goes out of
//! every port; clause 7.9.2: an address that was silent for the ageing time is forgotten).

use crate::detect::{Context, Detector, Entry, Needs, filter};
use crate::event::VantageId;
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{BoundedMap, Deadlines, Span, Timestamp};
use crate::world::{Derived, Heed, Observation, Overheard, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "L2005",
        name: "unknown-unicast-flood",
        levels: &[(Confidence::Confirmed, Severity::Info), (Confidence::Confirmed, Severity::Warning)],
        page: include_str!("unknown_unicast_flood.md"),
    },
    hears: &[],
    follows: &[Topic::Port],
    needs: Needs::Ethernet,
    make: |_| Box::new(UnknownUnicastFlood { bridges: BoundedMap::new(MOST), deadlines: Deadlines::new() }),
};

/// Bridges that are followed, and ports of each.
const MOST: usize = 1_024;
/// What a bridge floods until it has learned, and the one frame to who was silent for the ageing time, is less: so many frames within ten seconds, in
/// at least half of them.
const FRAMES: u32 = 100;
const SECONDS: u32 = 5;
/// Of all that a guest is sent, in half a minute and nearly all of its seconds: more than a fifth is worth a warning.
const SHARE_PERCENT: u32 = 20;
const LONG: u32 = 25;
/// It is over when for a minute no more than one frame in a hundred was for others.
const OVER_AFTER: Span = Span::secs(60);
const OVER_PERCENT: u32 = 1;
/// Frames that are cited.
const CITED: u64 = 3;

struct UnknownUnicastFlood {
    bridges: BoundedMap<String, Flooded>,
    deadlines: Deadlines<String>,
}

/// What a bridge sends to guests behind it; where the host does not tell of a bridge, to the one.
struct Flooded {
    key: Key,
    first: Timestamp,
    times: u64,
    taps: Vec<VantageId>,
    is_long: bool,
    /// The bridge was seen to forget at once.
    is_hub: bool,
}

impl Detector for UnknownUnicastFlood {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        if let Observation::Derived(Derived::Overheard(overheard)) = seen {
            self.overheard(overheard, cx);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(place) = self.deadlines.pop(cx.now) {
            if let Some(flooded) = self.bridges.remove(&place) {
                cx.resolve(flooded.key, format!("for {OVER_AFTER} next to nothing for others has come"));
            }
        }
    }
}

impl UnknownUnicastFlood {
    fn overheard(&mut self, heard: &Overheard, cx: &mut Context<'_>) {
        let Some(tap) = cx.world.vantage(heard.vantage).map(|v| v.name.raw().to_owned()) else { return };
        let bridge = cx.world.host.bridge_of(&tap).map(str::to_owned);
        let place = bridge.clone().unwrap_or_else(|| tap.clone());
        if heard.briefly.foreign < FRAMES || heard.briefly.seconds < SECONDS {
            if self.bridges.peek(&place).is_some() && share(heard.minute) > OVER_PERCENT {
                self.deadlines.set(place, cx.now.after(OVER_AFTER));
            }
            return;
        }
        self.deadlines.set(place.clone(), cx.now.after(OVER_AFTER));
        let fresh = || Flooded {
            key: Key::new().with("interface", &place),
            first: heard.cited.time,
            times: 0,
            taps: Vec::new(),
            is_long: false,
            is_hub: false,
        };
        let flooded = self.bridges.entry(&place, fresh);
        flooded.is_long |= heard.long.seconds >= LONG && share(heard.long) > SHARE_PERCENT;
        flooded.is_hub |= bridge.as_deref().and_then(|bridge| cx.world.host.link(bridge)?.ageing_s) == Some(0);
        flooded.times = flooded.times.saturating_add(1);
        if !flooded.taps.contains(&heard.vantage) && flooded.taps.len() < MOST {
            flooded.taps.push(heard.vantage);
        }
        let (severity, counted, span) =
            if flooded.is_long { (Severity::Warning, heard.long, 30) } else { (Severity::Info, heard.briefly, 10) };
        let (rate, share) = (counted.foreign.checked_div(span).unwrap_or(0), share(counted));
        let others = match flooded.taps.len().saturating_sub(1) {
            0 => String::new(),
            more => format!(", and {more} more of its ports,"),
        };
        let by = bridge.as_deref().unwrap_or("The bridge");
        let why = if flooded.is_hub {
            "it forgets every address at once (ageing time 0)"
        } else {
            "it does not know where they belong"
        };
        let headline = format!(
            "{by} sends {tap}{others} {rate} frames a second that are meant for others, {share} % of all that is sent there: {why}."
        );
        let device = cx.world.device(bridge.as_deref().unwrap_or_default());
        let mut claim = Claim::new(flooded.key.clone(), Confidence::Confirmed, severity, headline)
            .at(heard.vantage)
            .seen(flooded.first, flooded.times)
            .number("frames_a_second", rate)
            .number("share_percent", share)
            .number("taps", flooded.taps.len())
            .number("to", heard.to.to_string())
            .number("domain", cx.world.domains.name(heard.domain))
            .proved_by((flooded.times <= CITED).then(|| heard.cited.clone()))
            .filter(format!("eth.dst == {} && {}", heard.to, filter::interface(&tap)));
        claim = if flooded.is_hub {
            claim.cause("the bridge's ageing time was set to 0, which makes a hub of it").step(
                "Let it remember for 300 s",
                Command::with("ip link set {} type bridge ageing_time 30000", &[&device]),
            )
        } else {
            claim
                .cause("the bridge forgets addresses too soon: its ageing time is 0 or a few seconds")
                .cause("who is meant answers by another way, and is not heard at this bridge within the ageing time")
                .cause("its table is emptied again and again (STP005), or is full")
                .cause("nobody sends from that address on purpose, as from that of some clusters")
                .step(
                    "See how long the bridge remembers, in hundredths of a second (30000 is usual)",
                    Command::with("ip -d link show {} | grep -o 'ageing_time [0-9]*'", &[&device]),
                )
                .step("See whether it knows the address now", Command::with("bridge fdb show | grep {}", &[&heard.to]))
                .step("Let routers ask by ARP more often than bridges forget", "")
        };
        cx.raise(claim);
    }
}

/// How much of it was for others, in percent.
fn share(heed: Heed) -> u32 {
    heed.foreign.saturating_mul(100).checked_div(heed.all).unwrap_or(0)
}
