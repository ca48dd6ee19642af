//! DHCP exchanges as the report tells them: what was asked for, what it came to, and the clock of the lease; the same as they end.

mod support;

use netdiag::cli::{Watch, judge};
use netdiag::finding::{Exchange, Report};
use netdiag::render::{exchange_line, exchange_text, report_json};
use netdiag::settings::Settings;
use netdiag::source::Case;
use netdiag::value::Outside;

/// Wants exchanges: in the report, or as they end.
#[derive(Default)]
struct Listener {
    follows: bool,
    heard: Vec<Exchange>,
}

impl Watch for Listener {
    fn wants_exchanges(&self) -> bool {
        true
    }

    fn follows_exchanges(&self) -> bool {
        self.follows
    }

    fn exchange(&mut self, exchange: &Exchange) {
        self.heard.push(exchange.clone());
    }
}

fn review(case: &str, listener: &mut Listener) -> Report {
    let mut case = Case::open(&support::captures().join(case)).unwrap();
    case.survey(true);
    judge(case, &Settings::default(), false, listener)
}

/// Each exchange of a case: what, what it came to, retransmissions, messages.
fn told(case: &str) -> Vec<String> {
    let report = review(case, &mut Listener::default());
    let line = |e: &Exchange| format!("{} {} {} {}", e.kind, e.outcome, e.retransmissions, e.messages.len());
    report.exchanges.unwrap().iter().map(line).collect()
}

#[test]
fn an_exchange_is_told_by_what_it_came_to() {
    assert_eq!(told("healthy/lab-dhcp-relay"), ["lease granted 0 4", "renewal granted 0 3"]);
    assert_eq!(told("dhcp/request-unanswered")[0], "lease open 2 5");
    assert_eq!(told("dhcp/renewal-refused")[1], "renewal refused 0 2");
    assert_eq!(told("dhcp/offer-then-silence")[0], "lease open 0 2");
    // Behind 75 s of silence it is over.
    assert_eq!(told("healthy/dhcp-server-scan")[0], "lease not taken 0 2");
}

#[test]
fn its_name_is_that_of_its_first_transaction_and_its_lease_has_a_clock() {
    let report = review("dhcp/renewal-unanswered", &mut Listener::default());
    let all = report.exchanges.clone().unwrap();
    let ids: Vec<&str> = all.iter().map(|e| e.id.as_str()).collect();
    assert_eq!(ids[0], "fa:16:3e:12:34:56-4c450001");
    // The same client renews in the same transaction.
    assert!(ids.contains(&"fa:16:3e:12:34:56-4c450001.2"), "{ids:?}");
    let lease = all[0].lease.as_ref().unwrap();
    let seconds = |at: Option<netdiag::value::Timestamp>| at.unwrap().since(lease.from).as_secs();
    assert_eq!((seconds(lease.t1), seconds(lease.t2), seconds(lease.end)), (300.0, 525.0, 600.0));
    assert_eq!(report.leases.iter().filter(|l| l.client == lease.client).count(), 1);
    let text = exchange_text(&all[0]);
    assert!(text.ends_with("[DISCOVER, OFFER +10 ms, REQUEST, ACK +10 ms]  fa:16:3e:12:34:56-4c450001"), "{text}");
}

#[test]
fn as_they_end_they_are_the_same_as_in_the_report() {
    for case in ["healthy/lab-dhcp-two-guests", "healthy/life-boot-of-fifty", "dhcp/five-clients-unanswered"] {
        let report = review(case, &mut Listener::default());
        let mut listener = Listener { follows: true, ..Listener::default() };
        let followed = review(case, &mut listener);
        let name_of = |_| Outside::from("bond0");
        let lines = |all: &[Exchange]| {
            let mut lines: Vec<String> = all.iter().map(|e| exchange_line(e, &name_of).unwrap()).collect();
            lines.sort();
            lines
        };
        assert!(followed.exchanges.is_none(), "{case}: they were handed out");
        assert_eq!(lines(&listener.heard), lines(&report.exchanges.clone().unwrap()), "{case}");
        assert!(report_json(&report).unwrap().contains("\"exchanges\""));
    }
}
