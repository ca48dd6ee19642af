//! What a capture filter hides for certain, whatever it is asked about: pcap-filter(7), read in three values. A frame of a protocol either
//! passes a primitive, or does not, or may; a filter hides the protocol if no frame of it can pass. What is not understood may pass.

/// Protocols that judgements live on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Protocol {
    /// Address resolution.
    Arp,
    /// TCP.
    Tcp,
    /// Echo and what routers say, over IPv4.
    Icmp,
    /// DHCPv4.
    Dhcp,
    /// Spanning tree.
    Bpdu,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Arp, Self::Tcp, Self::Icmp, Self::Dhcp, Self::Bpdu];

    /// How sentences call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arp => "ARP",
            Self::Tcp => "TCP",
            Self::Icmp => "ICMP",
            Self::Dhcp => "DHCP",
            Self::Bpdu => "spanning tree",
        }
    }
}

/// Groups within groups, past which nothing is understood.
const DEEPEST: usize = 32;
/// Words before which a primitive has no port or protocol of its own.
const DIRECTIONS: [&str; 2] = ["src", "dst"];

/// Whether no frame of `protocol` passes `filter`.
pub fn hides(filter: &str, protocol: Protocol) -> bool {
    let words = words(filter);
    let mut reader = Reader { words: &words, at: 0, protocol, before: &[] };
    let passes = reader.any_of(0);
    !words.is_empty() && reader.at == words.len() && passes == Some(Passes::Never)
}

/// Whether frames of a protocol pass.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Passes {
    Never,
    Maybe,
    Always,
}

impl Passes {
    const fn otherwise(self) -> Self {
        match self {
            Self::Never => Self::Always,
            Self::Maybe => Self::Maybe,
            Self::Always => Self::Never,
        }
    }

    const fn if_is(is: bool) -> Self {
        if is { Self::Always } else { Self::Never }
    }
}

struct Reader<'a> {
    words: &'a [String],
    at: usize,
    protocol: Protocol,
    /// The last primitive: `port 67 or 68` repeats its beginning.
    before: &'a [String],
}

impl Reader<'_> {
    /// Primitives joined by `and` and `or`, which bind equally and to the left; `None` where it is not understood.
    fn any_of(&mut self, depth: usize) -> Option<Passes> {
        let mut all = self.one(depth)?;
        while let Some(word) = self.words.get(self.at).map(String::as_str) {
            match word {
                "and" | "&&" => {
                    self.at = self.at.saturating_add(1);
                    all = all.min(self.one(depth)?);
                }
                "or" | "||" => {
                    self.at = self.at.saturating_add(1);
                    all = all.max(self.one(depth)?);
                }
                ")" if depth > 0 => break,
                _ => return None,
            }
        }
        Some(all)
    }

    fn one(&mut self, depth: usize) -> Option<Passes> {
        if depth > DEEPEST {
            return None;
        }
        match self.words.get(self.at)?.as_str() {
            "not" | "!" => {
                self.at = self.at.saturating_add(1);
                Some(self.one(depth.saturating_add(1))?.otherwise())
            }
            "(" => {
                self.at = self.at.saturating_add(1);
                let inner = self.any_of(depth.saturating_add(1))?;
                let is_closed = self.words.get(self.at).is_some_and(|word| word == ")");
                self.at = self.at.saturating_add(1);
                is_closed.then_some(inner)
            }
            _ => self.primitive(),
        }
    }

    fn primitive(&mut self) -> Option<Passes> {
        let rest = self.words.get(self.at..)?;
        let is_end = |word: &String| matches!(word.as_str(), "and" | "&&" | "or" | "||" | "not" | "!" | "(" | ")");
        let len = rest.iter().position(is_end).unwrap_or(rest.len());
        let words = rest.get(..len).filter(|words| !words.is_empty())?;
        self.at = self.at.saturating_add(len);
        if let [only] = words
            && only.starts_with(|c: char| c.is_ascii_digit())
        {
            // A bare value goes on with the words of the primitive before it.
            let (_, qualifiers) = self.before.split_last()?;
            let whole: Vec<&str> = qualifiers.iter().map(String::as_str).chain([only.as_str()]).collect();
            return Some(passes(&whole, self.protocol));
        }
        self.before = words;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Some(passes(&words, self.protocol))
    }
}

/// Whether frames of `protocol` pass one primitive.
fn passes(words: &[&str], protocol: Protocol) -> Passes {
    use Protocol::{Arp, Bpdu, Dhcp, Icmp, Tcp};
    let Some((first, rest)) = words.split_first() else { return Passes::Maybe };
    // A slice of a header, as in `tcp[13] & 2 != 0`, asks about frames that have it.
    let (name, is_more) = first.split_once('[').map_or((*first, !rest.is_empty()), |(name, _)| (name, true));
    let some = |is: bool| if is && is_more { Passes::Maybe } else { Passes::if_is(is) };
    match name {
        "arp" => some(protocol == Arp),
        "ip" | "ip6" if protocol == Tcp => Passes::Maybe,
        "rarp" | "ip6" | "icmp6" | "igmp" | "sctp" | "esp" | "ah" | "vrrp" | "carp" | "pim" => Passes::Never,
        "ip" => some(matches!(protocol, Icmp | Dhcp)),
        "icmp" => some(protocol == Icmp),
        "stp" => some(protocol == Bpdu),
        "tcp" => some(protocol == Tcp),
        "udp" => match rest {
            [] => Passes::if_is(protocol == Dhcp),
            _ if protocol != Dhcp => Passes::Never,
            _ => port(rest),
        },
        "port" | "portrange" => match protocol {
            Arp | Icmp | Bpdu => Passes::Never,
            // No service of TCP lives at DHCP's ports.
            Tcp if port(words) != Passes::Never && !words.contains(&"portrange") => Passes::Never,
            Tcp => Passes::Maybe,
            Dhcp => port(words),
        },
        name if DIRECTIONS.contains(&name) && rest.contains(&"port") => match protocol {
            Arp | Icmp | Bpdu => Passes::Never,
            // No service of TCP lives at DHCP's ports.
            Tcp if port(words) != Passes::Never && !words.contains(&"portrange") => Passes::Never,
            Tcp => Passes::Maybe,
            Dhcp => port(words),
        },
        "host" | "net" | "src" | "dst" if protocol == Bpdu => Passes::Never,
        _ => Passes::Maybe,
    }
}

/// Whether DHCP, which goes between ports 67 and 68, passes where a port is asked for.
fn port(words: &[&str]) -> Passes {
    let [before @ .., "port", asked] = words else { return Passes::Maybe };
    let is_dhcp = matches!(*asked, "67" | "68" | "bootps" | "bootpc");
    let is_number = asked.parse::<u16>().is_ok();
    match (is_dhcp, is_number, before.is_empty()) {
        // Relays and servers speak from 67 to 67.
        (true, _, true) if matches!(*asked, "67" | "bootps") => Passes::Always,
        (true, ..) | (false, false, _) => Passes::Maybe,
        (false, true, _) => Passes::Never,
    }
}

/// The words of a filter: brackets stand alone, unless they are part of a slice, which is then not understood.
fn words(filter: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            words.push(std::mem::take(word).to_ascii_lowercase());
        }
    };
    for c in filter.chars() {
        match c {
            c if c.is_whitespace() => end(&mut word),
            '(' | ')' => {
                end(&mut word);
                word.push(c);
                end(&mut word);
            }
            '!' if word.is_empty() => {
                word.push(c);
            }
            '=' if word == "!" => word.push(c),
            c if word == "!" => {
                end(&mut word);
                word.push(c);
            }
            c => word.push(c),
        }
    }
    end(&mut word);
    words
}

#[cfg(test)]
mod tests {
    use super::Protocol::{Arp, Bpdu, Dhcp, Icmp, Tcp};
    use super::*;

    fn hidden(filter: &str) -> Vec<Protocol> {
        Protocol::ALL.into_iter().filter(|protocol| hides(filter, *protocol)).collect()
    }

    #[test]
    fn what_people_type() {
        assert_eq!(hidden("port 67 or port 68"), [Arp, Tcp, Icmp, Bpdu]);
        assert_eq!(hidden("udp port 67 or 68"), [Arp, Tcp, Icmp, Bpdu]);
        assert_eq!(hidden("udp and (port 67 or port 68)"), [Arp, Tcp, Icmp, Bpdu]);
        assert_eq!(hidden("arp or icmp"), [Tcp, Dhcp, Bpdu]);
        assert_eq!(hidden("tcp port 5672"), [Arp, Icmp, Dhcp, Bpdu]);
        assert_eq!(hidden("ip"), [Arp, Bpdu]);
        assert_eq!(hidden("not arp"), [Arp]);
        assert_eq!(hidden("!arp && !stp"), [Arp, Bpdu]);
        assert_eq!(hidden("stp"), [Arp, Tcp, Icmp, Dhcp]);
        assert_eq!(hidden("tcp[tcpflags] == 2"), [Arp, Icmp, Dhcp, Bpdu]);
        assert_eq!(hidden("tcp and not port 22"), [Arp, Icmp, Dhcp, Bpdu]);
    }

    #[test]
    fn what_may_pass_is_not_hidden() {
        for filter in [
            "",
            "host 10.0.0.5 or arp or stp",
            "ether host fa:16:3e:12:34:56",
            "vlan 100",
            "vlan and not vlan 20",
            "ether proto 0x88cc",
            "not port 22",
            "not (tcp port 22 and host 10.0.0.1)",
            "greater 1500",
            // Not understood, and so not judged.
            "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
            "(arp",
            "arp)",
            "and",
            "67",
        ] {
            assert_eq!(hidden(filter), [], "{filter}");
        }
        assert_eq!(hidden(&"(".repeat(100_000)), []);
        assert_eq!(hidden("host 10.0.0.5"), [Bpdu]);
        assert_eq!(hidden("src port 67"), [Arp, Tcp, Icmp, Bpdu]);
    }
}
