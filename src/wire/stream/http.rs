//! HTTP/1.1 (RFC 9112): the first line of a request or a response, and what an API is asked for.

/// Methods by their first bytes, with the space behind.
const METHODS: [&[u8]; 7] = [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"PATCH ", b"OPTIONS "];

/// How a response begins.
const RESPONSE: &[u8] = b"HTTP/1.";

/// The beginning of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A request.
    Request {
        /// The method.
        method: &'a [u8],
        /// The path, without a query.
        path: &'a [u8],
        /// What an API of the kind of EC2 is to do: the parameter `Action` of the query or the form.
        action: Option<&'a [u8]>,
    },
    /// A response, by its status.
    Response(u16),
}

/// How much of `payload` says what a message is, and holds no secret: its first line as far as a query, in which there may be keys.
pub fn plain_len(payload: &[u8]) -> usize {
    until(payload, |byte| matches!(byte, b'?' | b'\r' | b'\n')).len()
}

/// Whether a payload that begins with `head` begins as HTTP.
pub(super) fn begins(head: &[u8; 20]) -> bool {
    let is_request = |method: &[u8]| head.strip_prefix(method).is_some_and(|target| target.starts_with(b"/"));
    head.starts_with(RESPONSE) || METHODS.into_iter().any(is_request)
}

impl<'a> Message<'a> {
    /// The message that begins with `payload`, if one does.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        if let Some(rest) = payload.strip_prefix(RESPONSE) {
            let [_, b' ', a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] = rest else { return None };
            let digit = |byte: u8| u16::from(byte.wrapping_sub(b'0'));
            return Some(Self::Response(
                digit(*a).saturating_mul(100).saturating_add(digit(*b).saturating_mul(10)).saturating_add(digit(*c)),
            ));
        }
        let method = METHODS.into_iter().find(|method| payload.starts_with(method))?;
        let target = until(payload.get(method.len()..)?, |byte| matches!(byte, b' ' | b'\r' | b'\n'));
        let path = until(target, |byte| byte == b'?');
        let query = target.get(path.len()..).unwrap_or(&[]);
        let action = parameter(query).or_else(|| parameter(form(payload)?));
        Some(Self::Request { method: method.trim_ascii_end(), path, action })
    }
}

/// What is sent with the request, where that is in the same segment and no query.
fn form(payload: &[u8]) -> Option<&[u8]> {
    let end = payload.windows(4).position(|window| window == b"\r\n\r\n")?;
    payload.get(end.checked_add(4)?..)
}

/// The value of the parameter `Action`, if it is a word.
fn parameter(query: &[u8]) -> Option<&[u8]> {
    let mut parameters = query.split(|byte| matches!(byte, b'?' | b'&'));
    let value = parameters.find_map(|parameter| parameter.strip_prefix(b"Action="))?;
    (!value.is_empty() && value.iter().all(u8::is_ascii_alphanumeric)).then_some(value)
}

fn until(bytes: &[u8], is_end: impl Fn(u8) -> bool) -> &[u8] {
    let end = bytes.iter().position(|byte| is_end(*byte)).unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: &[u8]) -> (String, String, Option<String>) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        match Message::parse(bytes) {
            Some(Message::Request { method, path, action }) => (text(method), text(path), action.map(text)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_says_what_is_asked_for() {
        let of = |method: &str, path: &str, action: Option<&str>| (method.into(), path.into(), action.map(Into::into));
        assert_eq!(request(b"GET /v2/servers?limit=1 HTTP/1.1\r\nHost: api\r\n\r\n"), of("GET", "/v2/servers", None));
        let query = b"GET /services/Cloud?AWSAccessKeyId=secret&Action=RunInstances&ImageId=x HTTP/1.1\r\n";
        assert_eq!(request(query), of("GET", "/services/Cloud", Some("RunInstances")));
        let form = b"POST / HTTP/1.1\r\nHost: api\r\n\r\nAction=DescribeInstances&Signature=secret";
        assert_eq!(request(form), of("POST", "/", Some("DescribeInstances")));
        assert_eq!(request(b"GET /?Action=%3Cscript HTTP/1.1"), of("GET", "/", None));
        assert_eq!(request(b"DELETE /v2/serv"), of("DELETE", "/v2/serv", None));
    }

    #[test]
    fn a_query_and_what_is_behind_the_first_line_may_hold_secrets() {
        assert_eq!(plain_len(b"GET /v2/servers?token=secret HTTP/1.1\r\n"), 15);
        assert_eq!(plain_len(b"HTTP/1.1 200 OK\r\nSet-Cookie: secret"), 15);
    }

    #[test]
    fn a_response_says_how_it_went() {
        assert_eq!(Message::parse(b"HTTP/1.1 200 OK\r\n"), Some(Message::Response(200)));
        assert_eq!(Message::parse(b"HTTP/1.0 504 Gateway"), Some(Message::Response(504)));
        assert_eq!(Message::parse(b"HTTP/1.1 999 x"), None);
        assert_eq!(Message::parse(b"HTTP/1."), None);
        assert_eq!(Message::parse(b"\xff\xff"), None);
    }
}
