//! Which address of a buddy a text goes to. A pure function of what is known of each address, and the words that explain it.
//!
//! **The rule**, first that fits:
//!
//! 1. the address that he last wrote from, if he is reachable there;
//! 2. of those where he is reachable the one where he is most available, the first of equal ones;
//! 3. of those whose network keeps texts the first whose account is on;
//! 4. his first address on SIP of which nothing is known: it is tried;
//! 5. none: the text is kept until he shows up.
//!
//! A text for a buddy without any address goes nowhere.

use core::fmt;

use crate::base::time::Instant;
use crate::bridge::Show;
use crate::config::model::Network;

/// One way to a buddy: an address of his, with the account that leads there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// The network.
    pub network: Network,
    /// How it goes there.
    pub kind: Kind,
    /// Which of his addresses it is, from 0; ways to one address have the same.
    pub address: u8,
    /// Whether the account is on. SIP needs none.
    pub is_account_online: bool,
    /// How he is there; of SIP only where something is known.
    pub show: Show,
    /// When he last wrote from there.
    pub wrote_at: Option<Instant>,
    /// Whether the network keeps texts for who is not there.
    pub keeps: bool,
}

/// How a text goes to an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// By SIP.
    Sip {
        /// Whether something is known of his presence there.
        is_known: bool,
    },
    /// By an account of the sender's: an index in [`Model::accounts`](crate::config::model::Model::accounts).
    Account(u8),
}

/// Where a text goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// This way: an index in what was asked about.
    Go(usize),
    /// Nowhere for now: it is kept until he shows up.
    Keep,
    /// There is no address.
    Nowhere,
}

impl Way {
    /// Whether a text goes this way at all now.
    pub fn is_open(&self) -> bool {
        matches!(self.kind, Kind::Sip { .. }) || self.is_account_online
    }

    /// Whether he is there, as far as is known.
    pub fn is_reachable(&self) -> bool {
        self.is_open() && self.is_known() && self.show != Show::Offline
    }

    fn is_known(&self) -> bool {
        !matches!(self.kind, Kind::Sip { is_known: false })
    }
}

/// Decides among the ways to a buddy, the preferred one first.
pub fn route(ways: &[Way]) -> Decision {
    decide(ways).0
}

/// Says in words what [`route`] decides: a line for each way, and one for the outcome. `address` writes a way's address.
pub fn explain(
    ways: &[Way],
    f: &mut dyn fmt::Write,
    mut address: impl FnMut(usize, &mut dyn fmt::Write) -> fmt::Result,
) -> fmt::Result {
    for (index, way) in ways.iter().enumerate() {
        address(index, f)?;
        writeln!(f, ": {}", state_of(way))?;
    }
    let (decision, why) = decide(ways);
    if let Decision::Go(index) = decision {
        f.write_str("It goes to ")?;
        address(index, f)?;
        f.write_str(": ")?;
    }
    f.write_str(why)?;
    f.write_str(".")
}

fn decide(ways: &[Way]) -> (Decision, &'static str) {
    let all = || ways.iter().enumerate();
    let reachable = || all().filter(|(_, way)| way.is_reachable());
    // The later of two moments, then the first of equal ones.
    let last = reachable().filter(|(_, way)| way.wrote_at.is_some());
    let last = last.reduce(|best, way| if way.1.wrote_at > best.1.wrote_at { way } else { best });
    // He may have written from where he can't be reached since.
    let wrote_at = all().filter_map(|(_, way)| way.wrote_at).max();
    if let Some((index, _)) = last.filter(|(_, way)| way.wrote_at == wrote_at) {
        return (Decision::Go(index), "he last wrote from there");
    }
    let best = reachable().reduce(|best, way| if way.1.show > best.1.show { way } else { best });
    if let Some((index, _)) = best {
        return (Decision::Go(index), "he is most available there");
    }
    if let Some((index, _)) = all().find(|(_, way)| way.is_open() && way.keeps) {
        return (Decision::Go(index), "he is nowhere, and that network keeps it for him");
    }
    if let Some((index, _)) = all().find(|(_, way)| way.kind == Kind::Sip { is_known: false }) {
        return (Decision::Go(index), "nothing is known of him there, so it is tried");
    }
    match ways.is_empty() {
        true => (Decision::Nowhere, "It goes nowhere: he has no address"),
        false => (Decision::Keep, "It is kept here until he shows up"),
    }
}

fn state_of(way: &Way) -> &'static str {
    match (way.kind, way.show) {
        (Kind::Account(_), _) if !way.is_account_online => "the account is not on",
        (Kind::Sip { is_known: false }, _) => "it is not known how he is there",
        (_, Show::Offline) if way.keeps => "he is not there, and the network keeps texts",
        (_, Show::Offline) => "he is not there",
        (_, Show::ExtendedAway) => "he is away for long",
        (_, Show::Away) => "he is away",
        (_, Show::Busy) => "he is there, and busy",
        (_, Show::Available) => "he is there",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn account(show: Show) -> Way {
        Way {
            network: Network::Xmpp,
            kind: Kind::Account(0),
            address: 0,
            is_account_online: true,
            show,
            wrote_at: None,
            keeps: false,
        }
    }

    fn sip(known: Option<Show>) -> Way {
        let kind = Kind::Sip { is_known: known.is_some() };
        Way { network: Network::Sip, kind, is_account_online: false, ..account(known.unwrap_or_default()) }
    }

    fn wrote(way: Way, at_ms: u64) -> Way {
        Way { wrote_at: Some(Instant::from_millis(at_ms)), ..way }
    }

    fn off(way: Way) -> Way {
        Way { is_account_online: false, ..way }
    }

    #[test]
    fn the_one_he_wrote_from() {
        let ways = [account(Show::Available), wrote(account(Show::Away), 5), wrote(account(Show::Busy), 3)];
        assert_eq!(route(&ways), Decision::Go(1), "the last, not the best");
        let same = [wrote(account(Show::Away), 5), wrote(account(Show::Available), 5)];
        assert_eq!(route(&same), Decision::Go(0));
        let by_sip = [account(Show::Available), wrote(sip(Some(Show::Away)), 9)];
        assert_eq!(route(&by_sip), Decision::Go(1));
    }

    #[test]
    fn who_left_where_he_wrote_is_followed_to_where_he_is_best() {
        for gone in [wrote(account(Show::Offline), 5), off(wrote(account(Show::Available), 5)), wrote(sip(None), 5)] {
            let ways = [gone, account(Show::Away), account(Show::Available), account(Show::Available)];
            assert_eq!(route(&ways), Decision::Go(2), "{gone:?}");
            let ways = [gone, wrote(account(Show::Away), 2), account(Show::Available)];
            assert_eq!(route(&ways), Decision::Go(2), "an older conversation does not count: {gone:?}");
        }
    }

    #[test]
    fn best_presence_then_order() {
        let shows = [Show::ExtendedAway, Show::Away, Show::Busy, Show::Available];
        for (worse, better) in shows.iter().zip(&shows[1..]) {
            assert_eq!(route(&[account(*worse), sip(Some(*better))]), Decision::Go(1));
            assert_eq!(route(&[account(*better), sip(Some(*worse))]), Decision::Go(0));
            assert_eq!(route(&[sip(Some(*better)), account(*better)]), Decision::Go(0));
        }
        assert_eq!(route(&[off(account(Show::Available)), account(Show::ExtendedAway)]), Decision::Go(1));
    }

    #[test]
    fn nobody_there() {
        let keeps = Way { keeps: true, ..account(Show::Offline) };
        assert_eq!(route(&[sip(None), account(Show::Offline), keeps, keeps]), Decision::Go(2));
        assert_eq!(route(&[sip(None), off(keeps)]), Decision::Go(0), "an account that is off keeps nothing");
        assert_eq!(route(&[account(Show::Offline), sip(None), sip(None)]), Decision::Go(1), "tried");
        assert_eq!(route(&[sip(Some(Show::Offline)), off(keeps)]), Decision::Keep);
        assert_eq!(route(&[account(Show::Offline)]), Decision::Keep);
        assert_eq!(route(&[]), Decision::Nowhere);
    }

    #[test]
    fn in_words() {
        let keeps = Way { keeps: true, ..account(Show::Offline) };
        let explained = |ways: &[Way]| {
            let mut text = String::new();
            explain(ways, &mut text, |index, f| write!(f, "{}:{index}", ways[index].network.name())).unwrap();
            text
        };
        assert_eq!(
            explained(&[sip(None), keeps, off(account(Show::Available))]),
            "sip:0: it is not known how he is there\nxmpp:1: he is not there, and the network keeps texts\n\
             xmpp:2: the account is not on\nIt goes to xmpp:1: he is nowhere, and that network keeps it for him."
        );
        assert_eq!(
            explained(&[wrote(sip(Some(Show::Busy)), 1), account(Show::Away)]),
            "sip:0: he is there, and busy\nxmpp:1: he is away\nIt goes to sip:0: he last wrote from there."
        );
        assert_eq!(explained(&[account(Show::Offline)]), "xmpp:0: he is not there\nIt is kept here until he shows up.");
        assert_eq!(explained(&[]), "It goes nowhere: he has no address.");
    }

    #[test]
    fn whatever_the_ways_are() {
        let mut state = 11u64;
        let mut random = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        const SHOWS: [Show; 5] = [Show::Offline, Show::ExtendedAway, Show::Away, Show::Busy, Show::Available];
        let mut seen = [0; 3];
        for _ in 0..20_000 {
            let ways: Vec<Way> = (0..random(6))
                .map(|number| Way {
                    network: Network::Irc,
                    kind: match random(3) {
                        0 => Kind::Sip { is_known: random(2) == 0 },
                        _ => Kind::Account(number as u8),
                    },
                    address: number as u8,
                    is_account_online: random(2) == 0,
                    show: SHOWS[random(5) as usize],
                    wrote_at: (random(3) == 0).then(|| Instant::from_millis(random(4))),
                    keeps: random(3) == 0,
                })
                .collect();
            let decision = route(&ways);
            assert_eq!(decision, route(&ways));
            match decision {
                Decision::Go(index) => {
                    let way = ways[index];
                    assert!(way.is_open(), "{ways:?}");
                    let is_any_reachable = ways.iter().any(Way::is_reachable);
                    assert_eq!(way.is_reachable(), is_any_reachable, "{ways:?}");
                    let is_tried = way.kind == Kind::Sip { is_known: false };
                    assert!(is_any_reachable || way.keeps || is_tried, "{ways:?}");
                    seen[0] += 1;
                }
                Decision::Keep => {
                    assert!(
                        !ways.is_empty() && !ways.iter().any(|way| way.is_reachable() || way.is_open() && way.keeps)
                    );
                    seen[1] += 1;
                }
                Decision::Nowhere => {
                    assert!(ways.is_empty());
                    seen[2] += 1;
                }
            }
        }
        assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
    }
}
