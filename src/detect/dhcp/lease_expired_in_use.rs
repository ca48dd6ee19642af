//! A client goes on using an address whose lease has ended (RFC 2131 section 4.4.5: it must stop at once).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::{LISTED, network};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::event::Cited;
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::{Deadlines, Mac, Span, Timestamp};
use crate::wire::DhcpKind;
use crate::world::{AddressUse, Derived, DhcpStep, Observation, Over, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP007",
        name: "lease-expired-in-use",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("lease_expired_in_use.md"),
    },
    hears: &[],
    follows: &[Topic::Offer, Topic::Ack, Topic::AddressUse],
    needs: Needs::Frames,
    make: |settings| Box::new(LeaseExpiredInUse::new(settings)),
};

/// So long without a packet, the address is used no more.
const UNUSED: Span = Span::secs(60);

struct LeaseExpiredInUse {
    limit: usize,
    used: BTreeMap<(Mac, Ipv4Addr), Used>,
    due: Deadlines<(Mac, Ipv4Addr)>,
}

/// An address in use after its lease.
struct Used {
    about: Arc<AddressUse>,
    fresh: Vec<Cited>,
    /// To whom else it was given meanwhile.
    given_to: Option<Mac>,
}

impl LeaseExpiredInUse {
    fn new(settings: &Settings) -> Self {
        Self { limit: settings.tables.clients.max(1), used: BTreeMap::new(), due: Deadlines::new() }
    }

    fn used(&mut self, about: &Arc<AddressUse>, cx: &mut Context<'_>) {
        let dhcp = &cx.world.dhcp;
        // Renewals may pass elsewhere: of such a client nothing is known. One that was seen renewing, or asking in vain, or that
        // was given its address in unicast by the server itself, has no other way.
        let was_renewed = about.lease.is_some_and(|lease| lease.renewals > 0);
        let is_direct = about.told.as_ref().is_some_and(|told| told.is_unicast && !told.is_relayed);
        let asks = about.talk.is_some_and(|talk| dhcp.has_open_request(about.client, talk));
        // Where a list tells the end, it would have told a renewal.
        if !was_renewed && !is_direct && !asks && !about.is_listed() {
            return;
        }
        let key = (about.client, about.address);
        if self.used.len() >= self.limit
            && !self.used.contains_key(&key)
            && let Some((oldest, _)) = self.used.pop_first()
        {
            self.due.clear(&oldest);
        }
        let fresh = about.told.iter().map(|told| told.cited.clone()).chain([about.first.clone()]).collect();
        let used = self.used.entry(key).or_insert(Used { about: Arc::clone(about), fresh, given_to: None });
        used.claim(cx);
        self.due.set(key, about.time.after(UNUSED));
    }

    /// A server gives an address to a client: to the one that uses it, or to another.
    fn given(&mut self, step: &DhcpStep, cx: &mut Context<'_>) {
        let is_grant = step.kind == DhcpKind::Ack && !step.is_inform_answer();
        let own: Vec<_> = self.used.keys().copied().filter(|(client, _)| is_grant && *client == step.client).collect();
        for key in own {
            self.due.clear(&key);
            if let Some(used) = self.used.remove(&key) {
                cx.resolve(used.key(), format!("the client was given {}", step.yiaddr));
            }
        }
        let domains = &cx.world.domains;
        let others = self.used.iter_mut().filter(|((client, address), used)| {
            *client != step.client && *address == step.yiaddr && domains.is_same(used.about.domain, step.domain)
        });
        for (_, used) in others {
            if used.given_to.replace(step.client).is_none() {
                used.fresh.push(step.cited.clone());
            }
            used.claim(cx);
        }
    }
}

impl Detector for LeaseExpiredInUse {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::AddressUsed(used)) if used.over == Over::Ended => self.used(used, cx),
            Observation::Derived(Derived::Dhcp(step))
                if matches!(step.kind, DhcpKind::Offer | DhcpKind::Ack) && !self.used.is_empty() =>
            {
                self.given(step, cx);
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.due.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(key) = self.due.pop(cx.now) {
            let Some(used) = self.used.get_mut(&key) else { continue };
            let last = cx.world.dhcp.used(key.0, key.1).map(|(last, _)| last);
            if let Some(last) = last.filter(|last| last.after(UNUSED) > cx.now) {
                used.claim(cx);
                self.due.set(key, last.after(UNUSED));
            } else if let Some(used) = self.used.remove(&key) {
                cx.resolve(used.key(), format!("it was not used for {UNUSED}"));
            }
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for used in self.used.values_mut() {
            used.claim(cx);
        }
    }
}

impl Used {
    fn key(&self) -> Key {
        Key::new().with("client", self.about.client).with("address", self.about.address)
    }

    fn claim(&mut self, cx: &mut Context<'_>) {
        let about = &self.about;
        let (client, address) = (about.client, about.address);
        let (last, packets) = cx.world.dhcp.used(client, address).unwrap_or((about.time, 1));
        let over = last.since(about.since);
        let level = match self.given_to {
            Some(_) => (Confidence::Confirmed, Severity::Error),
            None => (Confidence::Likely, Severity::Warning),
        };
        let danger = match self.given_to {
            Some(other) => format!("the server gives it to {other} too"),
            None => "the server may give it away".to_owned(),
        };
        let headline = format!(
            "{address} is still used by {client} ({}) {over} after its lease ended at {}; {danger}.",
            network(about.domain, cx),
            about.since.clock(),
        );
        let mut claim = Claim::new(self.key(), level.0, level.1, headline)
            .seen(about.first.time, packets)
            .at(about.first.at.vantage)
            .number("packets", packets)
            .number("overrun_s", over.as_secs())
            .number("renewals_seen", about.lease.map_or(0, |lease| lease.renewals))
            .proved_by(std::mem::take(&mut self.fresh))
            .filter(format!("ip.src == {address} && eth.src == {client}"))
            .cause("its renewals fail: see what else is found about this client")
            .cause("the client took the address once and keeps it as if it were its own: a script, a static copy")
            .cause("the client's DHCP program has died and left its address behind")
            .step(
                "See in the guest whether its DHCP client runs, and what it says of the lease",
                "journalctl -u NetworkManager -u systemd-networkd -t dhclient",
            )
            .step(
                "See to whom the server gives the address",
                Command::with("grep {} /var/lib/misc/dnsmasq.leases", &[&address]),
            )
            .step("Let the client ask anew", "dhclient -r && dhclient");
        if about.is_listed() {
            claim = claim.assuming(LISTED);
        }
        cx.raise(claim);
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, mac, play};

    fn at(end: i64, said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP007", &play("bond0", end, said))
    }

    fn line(levels: &str) -> String {
        format!("{levels} {} 10.0.0.1", mac(1))
    }

    fn leased(seconds: u32, pings: &[i64]) -> Vec<(i64, Say)> {
        let begun = vec![(0, Say::request(1, 9)), (2, Say::ack(1, 9).lease(seconds))];
        begun.into_iter().chain(pings.iter().map(|s| (s * 1_000, Say::ping(1)))).collect()
    }

    #[test]
    fn a_packet_after_the_end_is_a_warning_and_an_address_given_away_an_error() {
        let mut said = leased(60, &[50, 64, 95]);
        assert_eq!(at(94_000, &said[..4]), [""; 0], "a slow clock");
        assert_eq!(at(100_000, &said), [line("likely/warning Open")]);
        assert_eq!(at(155_000, &said), [line("likely/warning Resolved")]);
        said.push((96_000, Say::offer(2, 9).giving(1)));
        assert_eq!(at(100_000, &said), [line("confirmed/error Open")]);
    }

    #[test]
    fn a_renewal_a_lease_for_ever_and_an_end_in_time_say_nothing() {
        let mut said = leased(60, &[50, 95]);
        said.insert(3, (55_000, Say::ack(1, 9).lease(60)));
        assert_eq!(at(100_000, &said), [""; 0]);
        assert_eq!(at(100_000, &leased(u32::MAX, &[95])), [""; 0]);
        assert_eq!(at(100_000, &leased(60, &[59])), [""; 0]);
    }
}
