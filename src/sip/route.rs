//! Route processing (RFC 3261 §16.4): which leading Route values are ours, and what their tokens say.
//!
//! Of a strict router before us (RFC 2543) the Request-URI is ours and the real one is the last Route value. A next hop
//! that is a strict router itself is not served: its Route goes first all the same.

use core::net::SocketAddr;

use crate::base::net::Transport;
use crate::base::random::Random;
use crate::sip::mask;
use crate::sip::token::Token;
use crate::sip::transport::{Network, port_of, transport_of};
use crate::wire::sip::{Message, Name, NameAddr, SipUri, Uri};

/// What the Route of a request says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Routes {
    /// Leading values that are ours.
    pub own: u8,
    /// Whether the Request-URI is ours by a token, put there by a strict router.
    pub is_strict: bool,
    /// The token of the sender's side: the first of ours.
    pub from: Option<Token>,
    /// The token of the side it goes to, the last of ours, and our address in it.
    pub to: Option<(Token, Transport, Option<SocketAddr>)>,
    /// Whether there are more values after ours.
    pub has_more: bool,
}

impl Routes {
    /// Reads the Route of a request. The message has its essentials.
    pub fn of(message: &Message<'_>, network: &Network, random: &Random) -> Self {
        let mut routes = Self::default();
        let Some(call_id) = message.essentials().map(|essentials| essentials.call_id) else { return routes };
        // Tokens are sealed for the Call-ID as it is in the home.
        let mut room = mask::ROOM;
        let call_id = mask::call_id_within(random, call_id, &mut room);
        if let Some(Ok(Uri::Sip(uri))) = message.request_uri().map(Uri::parse)
            && let Some(token) = own_token(&uri, network, random, call_id)
        {
            routes.is_strict = true;
            routes.take(token, &uri);
        }
        for value in message.values(Name::Route) {
            let Some(uri) = NameAddr::parse(value).ok().and_then(|route| route.parsed_uri().ok()) else { break };
            // A token of ours counts at any address: the one it was given at may not be ours any more.
            let token = uri.sip().and_then(|uri| Token::read(random, call_id, uri.user?));
            let Some(uri) = uri.sip().filter(|uri| token.is_some() || network.is_own(uri)) else {
                routes.has_more = true;
                break;
            };
            routes.own = routes.own.saturating_add(1);
            if let Some(token) = token {
                routes.take(token, uri);
            }
        }
        routes
    }

    /// The tokens of the callee's and the caller's side in the Record-Route of an answer, if we stay on its path. Of several
    /// pairs, when it has come through here twice, the one that is nearest to the callee.
    pub fn recorded(message: &Message<'_>, random: &Random) -> Option<(Token, Token)> {
        let mut room = mask::ROOM;
        let call_id = mask::call_id_within(random, message.essentials()?.call_id, &mut room);
        let mut tokens = message.values(Name::RecordRoute).filter_map(|value| {
            let uri = NameAddr::parse(value).ok()?.parsed_uri().ok()?;
            Token::read(random, call_id, uri.sip()?.user?)
        });
        let (callee, caller) = (tokens.next()?, tokens.next()?);
        (callee.side != caller.side && callee.pair == caller.pair).then_some((callee, caller))
    }

    /// Whether both sides of one dialog are named, and it goes from the one to the other.
    pub fn dialog(&self) -> Option<(&Token, &Token)> {
        let (from, to) = (self.from.as_ref()?, &self.to.as_ref()?.0);
        (from.side != to.side && from.pair == to.pair).then_some((from, to))
    }

    fn take(&mut self, token: Token, uri: &SipUri<'_>) {
        let transport = transport_of(uri).unwrap_or(Transport::Udp);
        let address = uri.host.ip().map(|ip| SocketAddr::new(ip, port_of(uri)));
        self.from.get_or_insert(token);
        self.to = Some((token, transport, address));
    }
}

fn own_token(uri: &SipUri<'_>, network: &Network, random: &Random, call_id: &[u8]) -> Option<Token> {
    if !network.is_own(uri) {
        return None;
    }
    Token::read(random, call_id, uri.user?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::text::Writer;
    use crate::sip::mask::{MASK_BYTES, Use};
    use crate::sip::token::Side;
    use std::string::String;

    fn text(write: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut buffer = [0; MASK_BYTES];
        let mut out = Writer::new(&mut buffer);
        write(&mut out);
        let len = out.finish().unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    #[test]
    fn tokens_count_under_either_name_of_a_call() {
        let (random, network) = (Random::new(), Network::new());
        let remote = "192.0.2.1:5060".parse().unwrap();
        let token = |side, pair| Token { side, person: 1, pair, binding: 0, remote, stream: None, domain: 0 };
        let inside = "a@192.168.1.10";
        let outside = text(|out| assert!(mask::write(&random, Use::CallId, inside.as_bytes(), out)));
        for (call_id, pair, is_known) in [(inside, 7, true), (&outside, 7, true), (&outside, 8, false), ("a", 7, false)]
        {
            let callee = text(|out| token(Side::Callee, 7).write(&random, inside.as_bytes(), out));
            let caller = text(|out| token(Side::Caller, pair).write(&random, inside.as_bytes(), out));
            let rest = std::format!(
                "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=2\r\nCall-ID: {call_id}\r\n"
            );
            let answer = std::format!(
                "SIP/2.0 200 OK\r\n{rest}CSeq: 1 INVITE\r\nRecord-Route: <sip:{callee}@192.0.2.1;lr>, <sip:{caller}@h;lr>\r\n\r\n"
            );
            let recorded = Routes::recorded(&Message::parse(answer.as_bytes()).unwrap(), &random);
            assert_eq!(recorded.is_some(), is_known, "{call_id} {pair}");
            let request = std::format!(
                "BYE sip:b@h SIP/2.0\r\n{rest}CSeq: 2 BYE\r\nRoute: <sip:{caller}@h;lr>, <sip:{callee}@h;lr>\r\n\r\n"
            );
            let routes = Routes::of(&Message::parse(request.as_bytes()).unwrap(), &network, &random);
            assert_eq!(routes.dialog().is_some(), is_known, "{call_id} {pair}");
        }
    }
}
