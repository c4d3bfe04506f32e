//! Why a dial or a connection failed, for a person.

use libp2p::swarm::DialError;
use std::error::Error;

pub const NO_ANSWER: &str = "no answer in time";
const NOT_DIALLED: &str = "what is dialled is an IP address and a port, over TCP or QUIC";

/// Every address with its reason.
pub fn explain(error: &DialError) -> String {
    match error {
        DialError::Transport(failures) => {
            let mut texts = Vec::new();
            for (address, error) in failures {
                texts.push(format!("{address}: {}", reason(&chain(error))));
            }
            texts.join("; ")
        }
        DialError::WrongPeerId { obtained, address } => {
            format!("{address}: another peer answers there: {obtained}")
        }
        DialError::LocalPeerId { address } => format!("{address}: this node itself answers there"),
        DialError::NoAddresses => "no address is known".to_string(),
        DialError::Denied { cause } => chain(cause),
        other => chain(other),
    }
}

/// Without what the DNS layer puts around it, which names were resolved before.
fn reason(text: &str) -> String {
    let (_, inner) = text.split_once("Multiple dial errors occurred:").unwrap_or(("", text));
    let lines = inner.lines().map(|line| line.trim().trim_start_matches("- "));
    let text = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    if text.contains("Timeout has been reached") {
        return NO_ANSWER.to_string();
    }
    if text.contains("oneshot canceled") {
        return "the relay that it names was not reached".to_string();
    }
    if text.contains("circuit/relay") && text.contains("does not support") {
        return "whom it names as a relay is none".to_string();
    }
    if text.contains("Missing relay") {
        return "no relay is named, with its address and its peer id, before /p2p-circuit"
            .to_string();
    }
    if text.contains("no records found") {
        return "that name has no such record".to_string();
    }
    if text.starts_with("Unsupported resolved address") {
        return NOT_DIALLED.to_string();
    }
    text
}

/// libp2p's errors say little unless their sources are told too.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{NOT_DIALLED, reason};

    #[test]
    fn a_reason_is_one_line_without_what_libp2p_puts_around_it() {
        let wrapped = ": Multiple dial errors occurred:\n - Connection refused (os error 111)";
        assert_eq!(reason(wrapped), "Connection refused (os error 111)");
        let unsupported =
            ": Multiple dial errors occurred:\n - Unsupported resolved address: /ip4/1.2.3.4/udp/1";
        assert_eq!(reason(unsupported), NOT_DIALLED);
        assert_eq!(reason("timed out"), "timed out");
        let relay = ": Response from behaviour was canceled: oneshot canceled";
        assert_eq!(reason(relay), "the relay that it names was not reached");
        assert!(reason(": Missing relay address.").starts_with("no relay is named"));
        let nowhere = "DNS error: no records found for Query { name: Name(\"_dnsaddr.x.\") }";
        assert_eq!(reason(nowhere), "that name has no such record");
    }
}
