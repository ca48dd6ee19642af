//! L2004: frames come in at a guest's port with an address that is somebody else's. No standard forbids it; nobody but the owner may be answered there
//! (IEEE 802.1D-2004 clause 7.8: a bridge believes the last frame).

use crate::detect::{Context, Detector, Entry, Needs, filter};
use crate::event::{Cited, LinkKind, Place};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::value::{BoundedMap, Deadlines, Mac, Span, Timestamp};
use crate::world::{Derived, Moved, Observation, Role, Topic};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "L2004",
        name: "spoofed-source",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("spoofed_source.md"),
    },
    hears: &[],
    follows: &[Topic::Port],
    needs: Needs::Host,
    make: |_| Box::new(SpoofedSource { claimed: BoundedMap::new(MOST), deadlines: Deadlines::new() }),
};

/// Pairs of a port and an address that are followed.
const MOST: usize = 1_024;
/// For how long the owner must have been heard, and the other not, for it to be over.
const OVER_AFTER: Span = Span::secs(300);
/// Frames that are cited.
const CITED: usize = 4;

/// The port at which it came in, and the address.
type Foreign = (String, Mac);

struct SpoofedSource {
    claimed: BoundedMap<Foreign, Claimed>,
    deadlines: Deadlines<Foreign>,
}

struct Claimed {
    key: Key,
    first: Timestamp,
    times: u64,
    fresh: Vec<Cited>,
}

/// Whose address it is.
struct Owner {
    words: String,
    /// Whether it may be another card of the same guest.
    is_doubtful: bool,
}

impl Detector for SpoofedSource {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Moved(moved)) = seen else { return };
        let Some(vantage) = cx.world.vantage(moved.to) else { return };
        let port = vantage.name.raw().to_owned();
        match owner(&port, moved, cx).filter(|_| vantage.place == Place::Tap) {
            Some(owner) => self.claim((port, moved.mac), &owner, moved, cx),
            // It came in where it belongs: from now on the time runs.
            None => {
                let due = cx.now.after(OVER_AFTER);
                let theirs = self.claimed.by_age().map(|(foreign, _)| foreign).filter(|(_, mac)| *mac == moved.mac);
                for foreign in theirs.cloned().collect::<Vec<_>>() {
                    self.deadlines.set(foreign, due);
                }
            }
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(foreign) = self.deadlines.pop(cx.now) {
            if let Some(claimed) = self.claimed.remove(&foreign) {
                cx.resolve(claimed.key, format!("for {OVER_AFTER} the address came in at its own port only"));
            }
        }
    }
}

impl SpoofedSource {
    fn claim(&mut self, foreign: Foreign, owner: &Owner, moved: &Moved, cx: &mut Context<'_>) {
        let (port, mac) = (foreign.0.clone(), foreign.1);
        let domain = cx.world.domains.name(moved.domain);
        let fresh = || Claimed {
            key: Key::new().with("interface", &port).with("mac", mac).with("domain", &domain),
            first: moved.cited.time,
            times: 0,
            fresh: Vec::new(),
        };
        self.deadlines.clear(&foreign);
        let claimed = self.claimed.entry(&foreign, fresh);
        claimed.times = claimed.times.saturating_add(1);
        if claimed.times <= CITED as u64 {
            claimed.fresh.push(moved.cited.clone());
        }
        let (confidence, severity) = if owner.is_doubtful {
            (Confidence::Likely, Severity::Warning)
        } else {
            (Confidence::Confirmed, Severity::Error)
        };
        let headline = format!(
            "Frames come in at {port} from {mac} since {}, which is not the address of the guest there but {}: answers to it may go astray.",
            claimed.first.clock(),
            owner.words
        );
        let mut claim = Claim::new(claimed.key.clone(), confidence, severity, headline)
            .at(moved.to)
            .seen(claimed.first, claimed.times)
            .number("times", claimed.times)
            .proved_by(claimed.fresh.drain(..))
            .filter(format!("eth.src == {mac} && {}", filter::interface(&port)))
            .cause("the guest was given, or gave itself, an address that is in use")
            .cause("an attack: whoever sends with the address of another hears what is meant for it")
            .cause("a loop: the guest's bridge returns what it hears")
            .step(
                "See where the bridge believes the address to be",
                Command::with("bridge fdb show | grep {}", &[&mac]),
            )
            .step("Let no other address out of the port", "virsh edit DOMAIN: <filterref filter='no-mac-spoofing'/>");
        if owner.is_doubtful {
            claim = claim
                .assuming("the host does not tell guests by name: both ports may be one guest's, which joins them");
        }
        cx.raise(claim);
    }
}

/// Whose the address is, if it is not the port's own; `None` where nothing speaks against its coming in there.
fn owner(port: &str, moved: &Moved, cx: &Context<'_>) -> Option<Owner> {
    let (host, mac) = (&cx.world.host, moved.mac);
    let surely = |words: String| Some(Owner { words, is_doubtful: false });
    if host.lives_behind(mac, port)? {
        return None;
    }
    let is_hosts = |link: &str| host.link(link).is_some_and(|link| link.mac == Some(mac) && link.kind != LinkKind::Tap);
    if let Some(uplink) = host.uplink(port).filter(|uplink| is_hosts(uplink)) {
        return surely(format!("this host's own on {uplink}"));
    }
    let told = host.own_port(mac).filter(|theirs| theirs != port);
    if let Some(theirs) = told {
        let ours = host.guest_of(port).and_then(|guest| host.name_of(guest.mac));
        return match (ours.map(|n| &n.name), host.name_of(mac).map(|n| &n.name)) {
            (Some(ours), Some(theirs)) if ours == theirs => None,
            (Some(_), Some(name)) => surely(format!("that of {name} behind {theirs}")),
            _ => Some(Owner { words: format!("that of the guest behind {theirs}"), is_doubtful: true }),
        };
    }
    // Who has served others from elsewhere is no guest of this port.
    let station = cx.world.stations.station(mac, moved.domain, &cx.world.domains);
    let serves = station.is_some_and(|station| station.has(Role::DhcpServer));
    let from = moved.from.filter(|_| serves).and_then(|from| cx.world.vantage(from))?;
    surely(format!("that of a DHCP server behind {}", from.name))
}
