//! The JSON report: the contract `netdiag.report/1` (one document), and NDJSON of finding changes.

use serde::Serialize;

use super::exchange::ExchangeView;
use super::frame::FrameView;
use crate::event::{FrameRef, Name};
use crate::finding::{
    Cause, Change, Confidence, Finding, Input, Key, KnownNeighbour, KnownTree, LeaseClock, Lost, NotChecked, Number,
    Pending, Report, Severity, State, Step, Stop, Tally, Way,
};
use crate::value::{Outside, Timestamp};

/// The version of the contract; it changes when a reader would have to.
const SCHEMA: &str = "netdiag.report/1";

/// The document.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    inputs: &'a [Input],
    tally: &'a Tally,
    findings: Vec<FindingView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchanges: Option<Vec<ExchangeView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leases: Option<&'a [LeaseClock]>,
    pending: &'a [Pending],
    neighbours: &'a [KnownNeighbour],
    trees: &'a [KnownTree],
    not_checked: &'a [NotChecked],
    lost: &'a Lost,
}

#[derive(Serialize)]
struct FindingView<'a> {
    id: u32,
    code: &'static str,
    name: &'static str,
    severity: Severity,
    confidence: Confidence,
    state: State,
    key: &'a Key,
    headline: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    names: &'a [Name],
    first: Timestamp,
    last: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved: Option<Timestamp>,
    count: u64,
    episodes: u32,
    numbers: Numbers<'a>,
    vantage: Option<Outside>,
    frames: Vec<FrameView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ways: Vec<WayView<'a>>,
    filter: &'a str,
    causes: &'a [Cause],
    remedy: &'a [Step],
    assumptions: &'a [String],
    explains: Vec<&'static str>,
    explained_by: Option<&'static str>,
}

/// Numbers by name, in the order in which the rule gives them.
struct Numbers<'a>(&'a [(&'static str, Number)]);

/// A packet's way through the vantages.
#[derive(Serialize)]
struct WayView<'a> {
    what: &'a str,
    is_ordered: bool,
    stops: Vec<StopView>,
}

/// One vantage on it; without a number where the packet was not seen.
#[derive(Serialize)]
struct StopView {
    vantage: Outside,
    seen: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wire_len: Option<u32>,
}

/// One change, as NDJSON tells it.
#[derive(Serialize)]
struct ChangeView<'a> {
    schema: &'static str,
    change: &'static str,
    finding: FindingView<'a>,
}

impl Serialize for Numbers<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, number)| (name, number)))
    }
}

/// The report as one JSON document.
///
/// # Errors
/// None that a report can cause; the type is serde's.
pub fn report_json(report: &Report) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&Document::of(report))
}

/// Several reports, of captures that were judged each on its own, as one JSON document.
///
/// # Errors
/// None that a report can cause; the type is serde's.
pub fn reports_json(reports: &[Report]) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Several<'a> {
        schema: &'static str,
        reports: Vec<Document<'a>>,
    }
    match reports {
        [one] => report_json(one),
        _ => serde_json::to_string_pretty(&Several {
            schema: "netdiag.reports/1",
            reports: reports.iter().map(Document::of).collect(),
        }),
    }
}

/// One change of a finding as one line of NDJSON; `name_of` names vantages.
///
/// # Errors
/// None that a finding can cause; the type is serde's.
pub fn change_line(
    change: Change,
    finding: &Finding,
    name_of: &dyn Fn(FrameRef) -> Outside,
) -> serde_json::Result<String> {
    let change = match change {
        Change::Opened => "opened",
        Change::Climbed => "climbed",
        Change::Updated => "updated",
        Change::Resolved => "resolved",
        Change::Reopened => "reopened",
        Change::Recalled => "recalled",
        Change::Lowered => "lowered",
    };
    serde_json::to_string(&ChangeView {
        schema: "netdiag.change/1",
        change,
        finding: FindingView::of(finding, &[], name_of),
    })
}

impl<'a> Document<'a> {
    fn of(report: &'a Report) -> Self {
        let name_of = |at: FrameRef| report.vantage(at.vantage).map(|v| v.name.clone()).unwrap_or_default();
        Self {
            schema: SCHEMA,
            inputs: &report.inputs,
            tally: &report.tally,
            findings: report.findings.iter().map(|f| FindingView::of(f, &report.findings, &name_of)).collect(),
            exchanges: report.exchanges.as_ref().map(|all| all.iter().map(|e| ExchangeView::of(e, &name_of)).collect()),
            leases: report.exchanges.as_ref().map(|_| report.leases.as_slice()),
            pending: &report.pending,
            neighbours: &report.neighbours,
            trees: &report.trees,
            not_checked: &report.not_checked,
            lost: &report.lost,
        }
    }
}

impl<'a> WayView<'a> {
    fn of(way: &'a Way, name_of: &dyn Fn(FrameRef) -> Outside) -> Self {
        let stop = |stop: &Stop| StopView {
            vantage: name_of(FrameRef { vantage: stop.vantage, number: 0 }),
            seen: stop.look.is_some(),
            number: stop.look.map(|look| look.number),
            tags: stop.look.map(|look| look.tags.to_string()),
            wire_len: stop.look.map(|look| look.wire_len),
        };
        Self { what: &way.what, is_ordered: way.is_ordered, stops: way.stops.iter().map(stop).collect() }
    }
}

impl<'a> FindingView<'a> {
    fn of(finding: &'a Finding, all: &[Finding], name_of: &dyn Fn(FrameRef) -> Outside) -> Self {
        let code = |id: u32| all.iter().find(|f| f.id == id).map(|f| f.rule.code);
        Self {
            id: finding.id,
            code: finding.rule.code,
            name: finding.rule.name,
            severity: finding.severity,
            confidence: finding.confidence,
            state: finding.state,
            key: &finding.key,
            headline: &finding.headline,
            names: &finding.names,
            first: finding.first,
            last: finding.last,
            resolved: finding.resolved,
            count: finding.count,
            episodes: finding.episodes,
            numbers: Numbers(&finding.numbers),
            vantage: finding.vantage.map(|vantage| name_of(FrameRef { vantage, number: 0 })),
            frames: finding.evidence.iter().map(|cited| FrameView::of(cited.at, cited.time, name_of)).collect(),
            ways: finding.ways.iter().map(|way| WayView::of(way, name_of)).collect(),
            filter: &finding.filter,
            causes: &finding.causes,
            remedy: &finding.remedy,
            assumptions: &finding.assumptions,
            explains: finding.explains.iter().filter_map(|id| code(*id)).collect(),
            explained_by: finding.explained_by.and_then(code),
        }
    }
}
