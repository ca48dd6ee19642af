//! A client goes on using an address that it gave back, or that somebody gave back in its name (RFC 2131 section 4.4.6).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::network;
use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Claim, Command, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::Mac;
use crate::wire::DhcpKind;
use crate::world::{AddressUse, Derived, DhcpStep, Observation, Over, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP012",
        name: "release-anomaly",
        levels: &[(Confidence::Confirmed, Severity::Warning)],
        page: include_str!("release_anomaly.md"),
    },
    hears: &[],
    follows: &[Topic::Ack, Topic::AddressUse],
    needs: Needs::Frames,
    make: |settings| Box::new(ReleaseAnomaly::new(settings)),
};

struct ReleaseAnomaly {
    limit: usize,
    /// Addresses by who uses them, with the message that gave each back.
    used: BTreeMap<(Mac, Ipv4Addr), (Arc<AddressUse>, Arc<DhcpStep>)>,
}

impl ReleaseAnomaly {
    fn new(settings: &Settings) -> Self {
        Self { limit: settings.tables.clients.max(1), used: BTreeMap::new() }
    }
}

impl Detector for ReleaseAnomaly {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::AddressUsed(used)) if used.over == Over::Released => {
                if self.used.len() >= self.limit {
                    self.used.pop_first();
                }
                if let Some(told) = &used.told {
                    self.used.insert((used.client, used.address), (Arc::clone(used), Arc::clone(told)));
                    claim(used, told, cx);
                }
            }
            Observation::Derived(Derived::Dhcp(step)) if step.kind == DhcpKind::Ack && !step.is_inform_answer() => {
                let own: Vec<_> = self.used.keys().copied().filter(|(client, _)| *client == step.client).collect();
                for key in own {
                    self.used.remove(&key);
                    cx.resolve(key_of(key), format!("the client was given {}", step.yiaddr));
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for (used, told) in self.used.values() {
            claim(used, told, cx);
        }
    }
}

fn key_of((client, address): (Mac, Ipv4Addr)) -> Key {
    Key::new().with("client", client).with("address", address)
}

fn claim(used: &AddressUse, told: &DhcpStep, cx: &mut Context<'_>) {
    let (client, address) = (used.client, used.address);
    let (last, packets) = cx.world.dhcp.used(client, address).unwrap_or((used.time, 1));
    let over = last.since(used.since);
    let other = told.sender.filter(|sender| *sender != client && !told.is_relayed);
    let by = match other {
        Some(sender) => format!("{sender} gave {address} back in the name of {client}"),
        None => format!("{client} gave {address} back"),
    };
    let headline = format!(
        "{by} ({}) at {}, and {client} still uses it {over} later.",
        network(used.domain, cx),
        told.cited.time.clock(),
    );
    let claim = Claim::new(key_of((client, address)), Confidence::Confirmed, Severity::Warning, headline)
        .seen(told.cited.time, packets)
        .at(used.first.at.vantage)
        .number("packets", packets)
        .number("overrun_s", over.as_secs())
        .proved_by([told.cited.clone(), used.first.clone()])
        .filter(format!(
            "(dhcp.option.dhcp == 7 && dhcp.hw.mac_addr == {client}) || (ip.src == {address} && eth.src == {client})"
        ));
    let claim = match other {
        Some(_) => claim
            .cause("the cloud deleted the instance and released its address, but the instance still runs")
            .cause("somebody releases addresses that are not his"),
        None => claim
            .cause("a script releases the lease and leaves the address on the interface")
            .cause("a second DHCP client on the same interface keeps the address up"),
    };
    cx.raise(
        claim
            .step(
                "See whether the instance should still be there",
                Command::with("openstack port list --mac-address {}; virsh list --all", &[&client]),
            )
            .step(
                "See to whom the server gives the address now",
                Command::with("grep {} /var/lib/misc/dnsmasq.leases", &[&address]),
            ),
    );
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Say, found, mac, play};

    fn at(said: &[(i64, Say)]) -> Vec<String> {
        found("DHCP012", &play("bond0", 90_000, said))
    }

    #[test]
    fn use_after_a_release_is_raised_and_a_new_lease_ends_it() {
        let mut said = vec![(0, Say::release(1)), (1_900, Say::ping(1))];
        assert_eq!(at(&said), [""; 0], "on its way out");
        said.push((12_000, Say::ping(1)));
        assert_eq!(at(&said), [format!("confirmed/warning Open {} 10.0.0.1", mac(1))]);
        said.push((20_000, Say::ack(1, 9)));
        assert_eq!(at(&said), [format!("confirmed/warning Resolved {} 10.0.0.1", mac(1))]);
        said.remove(2);
        said[2] = (3_000, Say::ack(1, 9).lease(600));
        said.push((12_000, Say::ping(1)));
        assert_eq!(at(&said), [""; 0], "given again");
    }
}
