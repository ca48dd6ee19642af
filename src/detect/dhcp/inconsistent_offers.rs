//! Two servers of one network tell the same client different things (RFC 2132). Which of them is right is not judged.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::{network, spoken};
use crate::detect::{Context, Detector, Entry, Needs};
use crate::finding::{Claim, Confidence, Key, Rule, Severity};
use crate::settings::Settings;
use crate::value::Outside;
use crate::wire::DhcpKind;
use crate::world::{Derived, DhcpStep, DomainId, Observation, TalkId, Topic};

/// The rule and its detector.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "DHCP021",
        name: "inconsistent-offers",
        levels: &[(Confidence::Risk, Severity::Warning)],
        page: include_str!("inconsistent_offers.md"),
    },
    hears: &[],
    follows: &[Topic::Offer],
    needs: Needs::Frames,
    make: |settings| Box::new(InconsistentOffers::new(settings)),
};

/// What clients of one network should be told alike: subnet mask, routers, name servers, MTU, broadcast address, time servers, lease, classless routes.
const ALIKE: [u8; 8] = [1, 3, 6, 26, 28, 42, 51, 121];
/// Offers to one question that are compared.
const MOST_OFFERS: usize = 4;
/// Differences that are told of all networks.
const MOST_FOUND: usize = 1_024;
/// The metadata service (169.254.169.254/32), which each server routes through itself by design.
const METADATA: [u8; 5] = [32, 169, 254, 169, 254];

struct InconsistentOffers {
    limit: usize,
    talks: BTreeMap<TalkId, Vec<Arc<DhcpStep>>>,
    found: BTreeMap<(DomainId, u8), Key>,
}

impl InconsistentOffers {
    fn new(settings: &Settings) -> Self {
        Self { limit: settings.tables.clients.max(1), talks: BTreeMap::new(), found: BTreeMap::new() }
    }

    fn offered(&mut self, step: &Arc<DhcpStep>, cx: &mut Context<'_>) {
        if self.talks.len() >= self.limit && !self.talks.contains_key(&step.talk) {
            self.talks.pop_first();
        }
        let offers = self.talks.entry(step.talk).or_default();
        // Those to an earlier question are history.
        offers.retain(|o| o.xid == step.xid && o.server != step.server);
        let others: Vec<_> = offers.iter().filter(|o| o.sender != step.sender).cloned().collect();
        if offers.len() < MOST_OFFERS {
            offers.push(Arc::clone(step));
        }
        for other in others {
            self.compare(&other, step, cx);
        }
    }

    fn compare(&mut self, a: &DhcpStep, b: &DhcpStep, cx: &mut Context<'_>) {
        let (layers_a, layers_b) = (a.cited.layers(), b.cited.layers());
        let (Some(of_a), Some(of_b)) = (layers_a.dhcp(), layers_b.dhcp()) else { return };
        let root = cx.world.domains.root(a.domain);
        for code in ALIKE {
            let (Some(value), Some(other)) = (of_a.option(code), of_b.option(code)) else { continue };
            let (value, other) = (value.to_bytes(), other.to_bytes());
            let is_equal = normal(code, &value, a.server) == normal(code, &other, b.server);
            if is_equal {
                if let Some(key) = self.found.remove(&(root, code)) {
                    cx.resolve(key, "the servers agree again");
                }
            } else if self.found.len() < MOST_FOUND {
                self.claim(code, (a, &value), (b, &other), cx);
            }
        }
    }

    fn claim(&mut self, code: u8, a: (&DhcpStep, &[u8]), b: (&DhcpStep, &[u8]), cx: &mut Context<'_>) {
        let root = cx.world.domains.root(a.0.domain);
        let domain = cx.world.domains.name(a.0.domain);
        let option = name(code);
        let fresh = || Key::new().with("domain", &domain).with("option", format!("{code} ({option})"));
        let key = self.found.entry((root, code)).or_insert_with(fresh).clone();
        let says = |(step, value): (&DhcpStep, &[u8])| {
            let server = step.server.map_or_else(|| "one".to_owned(), |ip| ip.to_string());
            format!("{server} says {}", told(code, value).for_terminal())
        };
        let headline = format!(
            "Two servers tell {} ({}) different things about its {option}: {}, {}.",
            a.0.client,
            network(a.0.domain, cx),
            says(a),
            says(b),
        );
        let claim = Claim::new(key, Confidence::Risk, Severity::Warning, headline)
            .seen(a.0.cited.time, 1)
            .at(b.0.cited.at.vantage)
            .proved_by([a.0.cited.clone(), b.0.cited.clone()])
            .filter(format!("dhcp.option.dhcp == 2 && dhcp.id == 0x{:08x}", a.0.xid))
            .cause("the two servers were set up at different times, and one was changed without the other")
            .cause("one of them should not be there")
            .step(
                format!("Compare the configuration of both for {}", spoken(&domain)),
                "grep -rE 'dhcp-option|dhcp-range' /etc/dnsmasq.conf /etc/dnsmasq.d",
            );
        cx.raise(claim);
    }
}

impl Detector for InconsistentOffers {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        let Observation::Derived(Derived::Dhcp(step)) = seen else { return };
        if step.kind == DhcpKind::Offer && !step.is_copy && !step.yiaddr.is_unspecified() {
            self.offered(step, cx);
        }
    }
}

/// A value as far as servers that are meant as a pair would have it alike: lists in any order, each server perhaps naming itself.
fn normal(code: u8, value: &[u8], server: Option<Ipv4Addr>) -> Vec<Vec<u8>> {
    let own = server.map(|ip| ip.octets().to_vec());
    let mut parts: Vec<Vec<u8>> = match code {
        3 | 6 | 42 => value.chunks(4).map(<[u8]>::to_vec).collect(),
        121 => routes(value).into_iter().filter(|route| !route.starts_with(&METADATA)).collect(),
        _ => vec![value.to_vec()],
    };
    if matches!(code, 6 | 42) {
        parts.retain(|part| Some(part) != own.as_ref());
    }
    parts.sort_unstable();
    parts
}

/// The routes of option 121, each with its prefix length, as many bytes of prefix as that needs, and its router (RFC 3442).
fn routes(mut value: &[u8]) -> Vec<Vec<u8>> {
    let mut routes = Vec::new();
    while let Some(&bits) = value.first() {
        let length = usize::from(bits.div_ceil(8).min(4)).saturating_add(5);
        let Some((route, rest)) = value.split_at_checked(length) else { break };
        routes.push(route.to_vec());
        value = rest;
    }
    routes
}

fn name(code: u8) -> &'static str {
    match code {
        1 => "subnet mask",
        3 => "routers",
        6 => "name servers",
        26 => "MTU",
        28 => "broadcast address",
        42 => "time servers",
        51 => "lease time",
        _ => "routes",
    }
}

fn told(code: u8, value: &[u8]) -> Outside {
    let number = || value.iter().fold(0_u64, |n, byte| (n << 8) | u64::from(*byte));
    let text = match code {
        26 => number().to_string(),
        51 => format!("{} s", number()),
        121 => {
            let routes = routes(value);
            format!("{} route{}", routes.len(), if routes.len() == 1 { "" } else { "s" })
        }
        _ => {
            let addresses = value.chunks_exact(4).filter_map(|c| <[u8; 4]>::try_from(c).ok());
            addresses.map(|octets| Ipv4Addr::from(octets).to_string()).collect::<Vec<_>>().join(" ")
        }
    };
    Outside::from(text.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_any_order_and_the_way_to_the_metadata_are_alike() {
        let own = |last| Some(Ipv4Addr::new(10, 0, 0, last));
        assert_eq!(normal(6, &[10, 0, 0, 2, 10, 0, 0, 3], own(2)).len(), 1);
        assert_eq!(normal(6, &[10, 0, 0, 2], own(2)), normal(6, &[10, 0, 0, 3], own(3)));
        assert_ne!(normal(3, &[10, 0, 0, 2], own(2)), normal(3, &[10, 0, 0, 3], own(3)));
        // 169.254.169.254/32 through the server, and the default route (RFC 3442), written by hand.
        let routes = |last: u8| [32, 169, 254, 169, 254, 10, 0, 0, last, 0, 10, 0, 0, 1];
        assert_eq!(normal(121, &routes(2), own(2)), normal(121, &routes(3), own(3)));
        assert_eq!(normal(121, &routes(2), own(2)), [vec![0, 10, 0, 0, 1]]);
    }
}
