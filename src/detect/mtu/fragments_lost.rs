//! MTU006: packets that travel in pieces lose some of them, and with these the whole packet (RFC 791 section 3.2, RFC 8900).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::torn::{Common, Ends, Loss, TORN, claim_of_many, claim_of_one, protocol_name};
use crate::detect::{Context, Detector, Entry, Needs, many};
use crate::finding::{Confidence, Key, Rule, Severity};
use crate::value::{Deadlines, Span, Timestamp};
use crate::wire::{Kind, Quoted};
use crate::world::{Derived, DomainId, Observation, Topic, Torn};

/// The rule.
pub static ENTRY: Entry = Entry {
    rule: Rule {
        code: "MTU006",
        name: "fragments-lost",
        levels: &[(Confidence::Likely, Severity::Warning), (Confidence::Confirmed, Severity::Error)],
        page: include_str!("fragments_lost.md"),
    },
    hears: &[Kind::IcmpError],
    follows: &[Topic::Fragment],
    needs: Needs::Frames,
    make: |_| Box::new(FragmentsLost::default()),
};

/// The span in which, of a hundred packets, so many are whole: it is over.
const WHOLE_FOR: Span = Span::secs(60);
const WHOLE: u32 = 95;
/// Pairs that are remembered; further ones are not judged.
const MOST: usize = 1_024;

#[derive(Default)]
struct FragmentsLost {
    pairs: BTreeMap<Ends, Loss>,
    /// Pairs that have an end in common.
    crowds: many::Crowds<Common, Ends>,
    /// Pairs of which the receiver itself has said that it waited in vain.
    told: BTreeSet<(IpAddr, IpAddr)>,
    deadlines: Deadlines<Ends>,
}

impl Detector for FragmentsLost {
    fn observe(&mut self, seen: &Observation<'_>, cx: &mut Context<'_>) {
        match seen {
            Observation::Derived(Derived::Torn(torn)) => self.torn(torn, cx),
            Observation::Packet(seen) => {
                let layers = &seen.frame.layers;
                // "Fragment reassembly time exceeded" (RFC 792, RFC 4443 section 3.3).
                let quoted = match (layers.icmp(), layers.icmpv6()) {
                    (Some(icmp), _) if (icmp.kind(), icmp.code()) == (11, 1) => icmp.quoted(),
                    (_, Some(icmp)) if (icmp.kind(), icmp.code()) == (3, 1) => icmp.quoted(),
                    _ => return,
                };
                if let Some(quoted) = Quoted::parse(quoted).filter(|_| self.told.len() < MOST) {
                    self.told.insert((quoted.src, quoted.dst));
                }
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(ends) = self.deadlines.pop(cx.now) {
            self.look_again(ends, cx);
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for (common, domain) in self.crowds.outgrown() {
            self.tell(common, domain, cx);
        }
    }
}

impl FragmentsLost {
    fn torn(&mut self, torn: &Torn, cx: &mut Context<'_>) {
        let ends = torn.pair;
        if self.pairs.len() >= MOST && !self.pairs.contains_key(&ends) {
            return;
        }
        let loss = self.pairs.entry(ends).or_insert_with(|| Loss::new(torn, cx));
        loss.note(torn, self.told.contains(&(ends.0, ends.1)), cx.now);
        if !loss.counts() {
            return;
        }
        self.deadlines.set(ends, cx.now.after(WHOLE_FOR));
        let (is_enough, root) = (loss.pieces.incomplete >= TORN, loss.root);
        let commons = Common::of(&ends);
        self.crowds.join(commons, root, ends);
        let many = |common: &Common| {
            let crowd = self.crowds.of(*common, root)?;
            // Two hosts that speak in several protocols are two.
            let others = many::distinct(crowd.places().map(|ends| common.other(&ends))).len();
            crowd.is_one(others).then_some(others)
        };
        if let Some(common) = commons.into_iter().filter(|common| many(common).is_some()).max_by_key(many) {
            if self.crowds.has_news(common, root, cx.now) {
                self.tell(common, root, cx);
            }
        } else if let Some(loss) = self.pairs.get_mut(&ends).filter(|_| is_enough) {
            let key = claim_key(&ends, loss.domain, cx);
            self.crowds.stands_alone(ends, key.clone());
            cx.raise(claim_of_one(key, &ends, loss));
        }
    }

    /// Says of many pairs with an end in common that their packets lack pieces; what was said of some of them alone leaves the report.
    fn tell(&mut self, common: Common, root: DomainId, cx: &mut Context<'_>) {
        let (world, severity) = (cx.world, Severity::Warning);
        let fresh = || common.key().with("domain", world.domains.name(root));
        let Some((telling, crowd)) = self.crowds.tell((common, root), severity, fresh, cx) else { return };
        let pairs: Vec<(Ends, &Loss)> =
            crowd.places().filter_map(|ends| Some((ends, self.pairs.get(&ends)?))).collect();
        cx.raise(claim_of_many(telling.key, common, crowd.at_least(), &pairs, telling.is_first));
    }

    /// A minute later: it is over if nearly all packets since were whole.
    fn look_again(&mut self, ends: Ends, cx: &mut Context<'_>) {
        let Some(loss) = self.pairs.get(&ends) else { return };
        let now = cx.world.fragments.pieces(&ends);
        let whole = now.complete.saturating_sub(loss.pieces.complete);
        let torn = now.incomplete.saturating_sub(loss.pieces.incomplete);
        let is_over = whole > 0 && whole.saturating_mul(100) >= whole.saturating_add(torn).saturating_mul(WHOLE);
        if is_over {
            self.end(ends, &format!("{whole} packets in pieces arrived whole since"), cx);
        } else {
            // Each look waits as long again as all before it: a capture may leap over years.
            self.deadlines.set(ends, cx.now.after(cx.now.since(loss.last).max(WHOLE_FOR)));
        }
    }

    /// Between these two it is over, and so it is between one of them and many if they were the last.
    fn end(&mut self, ends: Ends, why: &str, cx: &mut Context<'_>) {
        let Some(loss) = self.pairs.remove(&ends) else { return };
        self.crowds.leave(Common::of(&ends), loss.root, ends, why, cx);
    }
}

fn claim_key((src, dst, protocol): &Ends, domain: DomainId, cx: &Context<'_>) -> Key {
    Key::new()
        .with("src", src)
        .with("dst", dst)
        .with("protocol", protocol_name(*protocol))
        .with("domain", cx.world.domains.name(domain))
}
