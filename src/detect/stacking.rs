//! What VLAN001 and MTU001 share about VLAN devices on VLAN devices: following what the host says of them, and saying how they are put
//! right, by their names where the host tells them.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use crate::finding::{Claim, Command, IFACE, is_device_name};
use crate::value::{Deadlines, Outside, Span, Timestamp, Tpid, Vid};
use crate::world::{Host, Pile, World};

/// A carrier and the outermost tag that a pile of VLAN devices wears on it.
pub type PileKey = (String, (Tpid, Vid));

/// How long a device must be gone to be gone for good: a service that starts anew deletes and makes its devices within a second or two,
/// often just as wrong as before.
const GONE_FOR: Span = Span::secs(3);
/// Names that are written out; the others are counted.
const SHOWN: usize = 8;

/// Follows the piles that are wrong: which are new or changed, and which are so no longer.
#[derive(Default)]
pub struct Piles {
    /// Each with the moment at which it was seen to be wrong no longer.
    wrong: BTreeMap<PileKey, (Pile, Option<Timestamp>)>,
    leaving: Deadlines<PileKey>,
}

/// A pile that is wrong no longer.
pub struct Mended {
    /// Which.
    pub key: PileKey,
    /// Since when.
    pub since: Timestamp,
    /// What the host says of it now, in words.
    pub why: String,
}

impl Piles {
    /// The host's links changed: gives the piles that are wrong and that are new or not as they were.
    pub fn follow(&mut self, cx: &Context<'_>, is_wrong: impl Fn(&Pile) -> bool) -> Vec<Pile> {
        let wrong: Vec<Pile> = cx.world.host.piles().into_iter().filter(is_wrong).collect();
        let mut news = Vec::new();
        let mut here = BTreeSet::new();
        for pile in wrong {
            let key = key_of(&pile);
            here.insert(key.clone());
            self.leaving.clear(&key);
            if self.wrong.insert(key, (pile.clone(), None)).is_none_or(|(before, _)| before != pile) {
                news.push(pile);
            }
        }
        for (key, (_, left)) in self.wrong.iter_mut().filter(|(key, (_, left))| left.is_none() && !here.contains(*key))
        {
            *left = Some(cx.now);
            self.leaving.set(key.clone(), cx.now.after(GONE_FOR));
        }
        news
    }

    /// When the next pile will have been away for long enough.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.leaving.next()
    }

    /// The next pile that is wrong no longer at `until`.
    pub fn mended(&mut self, until: Timestamp, host: &Host) -> Option<Mended> {
        let key = self.leaving.pop(until)?;
        let (before, left) = self.wrong.remove(&key)?;
        let why = whereabouts(&before, host.pile(&key.0, key.1).as_ref(), host);
        Some(Mended { key, since: left.unwrap_or(until), why })
    }

    /// Whether the host has said that the pile is wrong, and not for long enough that it is so no longer.
    pub fn has(&self, key: &PileKey) -> bool {
        self.wrong.contains_key(key)
    }
}

/// Where a pile belongs.
pub fn key_of(pile: &Pile) -> PileKey {
    (pile.carrier.raw().to_owned(), pile.outer)
}

/// What became of a pile, in words.
fn whereabouts(before: &Pile, now: Option<&Pile>, host: &Host) -> String {
    if let Some(now) = now {
        return match now.carrier_mtu {
            Some(mtu) if Some(mtu) > before.carrier_mtu => format!("{} takes {mtu} bytes now", now.carrier),
            _ => format!("{} need no more than {} takes now", listed(&now.names()), now.carrier),
        };
    }
    let is_direct = |name: &&Outside| host.below(name.raw()).is_some_and(|(tags, _)| tags.depth() == 1);
    let names = before.names();
    let direct: Vec<Outside> = names.iter().filter(is_direct).cloned().collect();
    match direct.as_slice() {
        [] => format!("{} {} gone", listed(&names), if names.len() == 1 { "is" } else { "are" }),
        [one] => format!("{one} rides on {} itself now", before.carrier),
        several => format!("{} ride on {} itself now", listed(several), before.carrier),
    }
}

/// The names of a few, and how many more there are.
fn listed(names: &[Outside]) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN).map(ToString::to_string).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The VLAN devices of a pile, for a sentence: `vlan100 is a VLAN device on a VLAN device`.
pub fn devices(pile: &Pile) -> String {
    match pile.devices.as_slice() {
        [one] => format!("{} is a VLAN device on {}, a VLAN device", one.device, one.lower),
        [one, rest @ ..] if rest.iter().all(|other| other.lower == one.lower) => {
            format!("{} are VLAN devices on {}, a VLAN device", listed(&pile.names()), one.lower)
        }
        _ => format!("{} are VLAN devices on VLAN devices", listed(&pile.names())),
    }
}

/// VLAN identifiers for a sentence: `VLAN 100`, `VLANs 100, 101 and 28 more`.
pub fn vlans(vids: &BTreeSet<u16>) -> String {
    let shown: Vec<String> = vids.iter().take(SHOWN).map(u16::to_string).collect();
    let word = if vids.len() == 1 { "VLAN" } else { "VLANs" };
    match vids.len().saturating_sub(SHOWN) {
        0 => format!("{word} {}", shown.join(", ")),
        more => format!("{word} {} and {more} more", shown.join(", ")),
    }
}

/// With who stacks VLAN devices on `carrier` in the tag `outer`, and with the steps that put it right. Stacked devices come first: they are
/// made anew only if they are not there (nova, `ensure_vlan`), so that a right setting alone changes nothing.
pub fn unstack(claim: Claim, world: &World, carrier: &str, outer: (Tpid, Vid), inner: u16) -> Claim {
    let host = &world.host;
    let pile = host.pile(carrier, outer);
    let lower = pile.as_ref().and_then(|pile| Some(pile.devices.first()?.lower.to_string()));
    let elsewhere = pile.is_none() && host.link(carrier).is_some();
    // A vantage may be called after its file, which no configuration knows.
    let (carrier, device) = if is_device_name(carrier) { (carrier, carrier) } else { ("the uplink", IFACE) };
    let claim = match (&lower, elsewhere) {
        (Some(lower), _) => claim.cause(format!(
            "vlan_interface in nova.conf, or the network's stored bridge_interface, names {lower}, which is a VLAN device, instead of {carrier}"
        )),
        (None, true) => claim.cause("another host, or a guest, puts on both tags: this host has no such VLAN device on a VLAN device"),
        (None, false) => claim.cause(format!(
            "vlan_interface in nova.conf, or the network's stored bridge_interface, names a VLAN device such as vlan{} instead of {carrier}",
            outer.1
        )),
    };
    let names = pile.map(|pile| pile.names()).unwrap_or_default();
    let known: Vec<&str> = names.iter().filter_map(|name| world.known_device(name.raw())).take(SHOWN).collect();
    let delete = match known.as_slice() {
        [] => Command::with("ip link del vlan{}", &[&inner]),
        known => {
            let one = |name: &&str| Command::with("ip link del {}", &[name]);
            let all = known.iter().map(one).reduce(|all, one| all.then(&one)).unwrap_or_default();
            match names.len().saturating_sub(known.len()) {
                0 => all,
                more => all.remark(format_args!("and {more} more")),
            }
        }
    };
    let at = lower
        .as_deref()
        .and_then(|lower| world.known_device(lower))
        .map_or("vlan".to_owned(), |lower| format!("{lower}:"));
    claim
        .cause("a physical_interface_mapping or bridge_mapping of Neutron points at a VLAN device")
        .step("See which VLAN devices ride on a VLAN device", Command::with("ip -d link show type vlan | grep '@{}'", &[&at]))
        .step(
            "Delete the stacked devices first, one a tenant VLAN: they are only made anew if they are not there, and their instances lose the link meanwhile",
            delete,
        )
        .step(format!("Name {carrier} in the configuration, then restart the service"), Command::from("grep -E 'vlan_interface|flat_interface' /etc/nova/nova.conf").remark(format_args!("set vlan_interface={device}")))
        .step(
            "Look at what each network has stored, which wins over the configuration",
            "mysql nova -e 'select id, vlan, bridge_interface from networks'",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_counted_and_few_are_named() {
        assert_eq!(vlans(&BTreeSet::from([100])), "VLAN 100");
        assert_eq!(vlans(&(100..130).collect()), "VLANs 100, 101, 102, 103, 104, 105, 106, 107 and 22 more");
    }
}
