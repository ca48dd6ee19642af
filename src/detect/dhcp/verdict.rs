//! Which stopped first, DHCP or the network (findings.md, DHCP005): by the order of packets alone. What arrived first, arrived first; there
//! is no minimum gap. DHCP itself is left out of the evidence.

use crate::detect::Context;
use crate::event::Protocol;
use crate::value::{Mac, Timestamp};
use crate::world::DomainId;

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The client's network had stopped before it renewed, at this moment; whether two kinds or two askers say so.
    NetworkFirst(Timestamp, bool),
    /// The client heard other things between two grants that it did not act on, last at this moment.
    OnlyDhcp(Timestamp),
    /// It heard other things at this moment, since it began to renew; but whether it was deaf before, when it was granted that, nobody saw.
    HeardSince(Timestamp),
    /// The filter of the capture hides that by which it would show.
    Hidden,
    /// Nobody can tell: the last proof before, and the first other question that stayed unanswered after.
    Undecided(Option<Timestamp>, Option<Timestamp>),
}

impl Verdict {
    /// Of a client that began to renew at `asked` and did not act on what it was granted; that it hears other things was proved last at
    /// `heard`, between two of the grants.
    pub fn of(client: Mac, domain: DomainId, asked: Timestamp, heard: Option<Timestamp>, cx: &Context<'_>) -> Self {
        if let Some(heard) = heard {
            return Self::OnlyDhcp(heard);
        }
        let (stations, domains) = (&cx.world.stations, &cx.world.domains);
        let proof = stations.station(client, domain, domains).and_then(|s| s.proof).map(|proof| proof.time);
        if let Some(proof) = proof.filter(|proof| *proof > asked) {
            return Self::HeardSince(proof);
        }
        match stations.unanswered(client, domain, domains, asked) {
            Some((first, kinds, askers)) if first.first < asked => {
                Self::NetworkFirst(first.first, kinds >= 2 || askers >= 2)
            }
            Some((first, ..)) => Self::Undecided(proof, Some(first.first)),
            None if is_hidden(domain, cx) => Self::Hidden,
            None => Self::Undecided(proof, None),
        }
    }

    /// The sentence for a client that began to renew at `asked`.
    pub fn sentence(self, asked: Timestamp) -> String {
        match self {
            Self::NetworkFirst(first, is_sure) => format!(
                "Its network {} stopped before: the first question that it left unanswered came at {}, {} before the renewal. DHCP is a symptom.",
                if is_sure { "had" } else { "appears to have" },
                first.clock(),
                asked.since(first),
            ),
            Self::OnlyDhcp(proof) => format!(
                "It still hears other things (proved at {}, between two grants): only the answers of DHCP are lost.",
                proof.clock()
            ),
            Self::HeardSince(proof) => format!(
                "Which stopped first is undecided: it hears other things (proved at {}), but nothing shows whether it did when it was granted that.",
                proof.clock()
            ),
            Self::Hidden => "Which stopped first cannot be told: the filter of this capture hides ARP or TCP, by which it would show.".to_owned(),
            Self::Undecided(proof, other) => {
                let since = match proof {
                    Some(proof) => format!("between {} (last proof that it hears) and", proof.clock()),
                    None => "before".to_owned(),
                };
                let other = match other {
                    Some(other) => format!(
                        " The first other question without an answer came at {}, after the renewal began.",
                        other.clock()
                    ),
                    None => String::new(),
                };
                format!(
                    "Which stopped first is undecided: {since} {} (first renewal) nothing was sent to it that had to be answered.{other}",
                    asked.clock()
                )
            }
        }
    }
}

/// Whether each capture of the client's network is filtered so that a question to it, or its answer, would not be seen.
fn is_hidden(domain: DomainId, cx: &Context<'_>) -> bool {
    let hides = |id| cx.world.vantage(id).is_some_and(|v| v.hides(Protocol::Arp) || v.hides(Protocol::Tcp));
    let mut places = cx.world.domains.vantages(domain).peekable();
    places.peek().is_some() && places.all(hides)
}
