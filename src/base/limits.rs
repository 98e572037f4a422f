//! Every capacity of the server, as a named constant, with the relations between them checked at compile time.
//!
//! The defaults fit a WL-500g class router (16-32 MB). A board overrides them in the `[env]` table of `board/NAME.toml`
//! as `PCSD_<NAME>`. What happens when a table is full stands beside its limit.

/// Declares limits that `PCSD_<NAME>` in the build environment overrides.
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident = $default:expr;)*) => {
        $($(#[$doc])* pub const $name: usize = decimal(option_env!(concat!("PCSD_", stringify!($name))), $default);)*
    };
}

limits! {
    /// People of the home. More in the configuration: refused by `pcsd check`.
    PEOPLE = 16;
    /// Devices named in the configuration. More: refused by `pcsd check`.
    DEVICES = 32;
    /// Listen lines in the configuration. More: refused by `pcsd check`.
    LISTENERS = 8;
    /// Listeners of the web page in the configuration (`list web`). More: refused by `pcsd check`.
    WEB_LISTENERS = 4;
    /// Names the world knows the home by (`list external`). More: refused by `pcsd check`.
    EXTERNALS = 8;
    /// Sources without a rate limit (`list unlimited`). More: refused by `pcsd check`.
    UNLIMITED = 8;
    /// Other homes that are named (`config peer`). More: refused by `pcsd check`.
    PEERS = 16;
    /// Buddies of all lists together (`config buddy`). More: refused by `pcsd check`.
    BUDDIES = 48;
    /// Accounts on other networks (`config account`). More: refused by `pcsd check`.
    ACCOUNTS = 24;
    /// Contacts that the lists of networks hold, all accounts together. More: left out with a log line.
    CONTACTS = 1280;
    /// Contacts of one account. More: left out with a log line.
    CONTACTS_PER_ACCOUNT = 512;
    /// Contacts of one account that are on no list and were only heard from. More: the oldest is forgotten.
    STRANGER_CONTACTS = 16;
    /// Places where contacts are logged in, all together. More: one less preferred is forgotten.
    SIGHTINGS = 1536;
    /// Texts on their way to other networks, kept ones included. Full: what is new is refused.
    OUTGOING = 256;
    /// Texts on their way to one person. More: refused.
    OUTGOING_PER_PERSON = 128;
    /// Rules (`config rule`). More: refused by `pcsd check`.
    RULES = 64;
    /// Groups of buddies, domains and texts in rules, equal ones once. More: refused by `pcsd check`.
    WORDS = 48;
    /// Addresses of the router. More: the excess is left out with a log line.
    ADDRESSES = 16;
    /// Open sockets of the core: a listener on each address. More: the excess is left out with a log line.
    PORTS = 32;
    /// Streams (TCP connections), both ways. Full: the one idle longest without a binding is closed, else a new one is refused.
    STREAMS = 72;
    /// Streams from one address. More: the newest is closed, so that nobody takes them all.
    STREAMS_PER_SOURCE = 24;
    /// Bindings of all people. Full: REGISTER is answered 503.
    BINDINGS = 64;
    /// Bindings of one person. Full: REGISTER is answered 403.
    BINDINGS_PER_PERSON = 10;
    /// Server transactions, finished ones included. Full of unfinished ones: 503 with Retry-After.
    SERVER_TRANSACTIONS = 256;
    /// Client transactions (branches), finished ones included. Full of unfinished ones: the branch counts as failed with 503.
    CLIENT_TRANSACTIONS = 256;
    /// Response contexts: requests being forked now. Full: 503 with Retry-After.
    CONTEXTS = 64;
    /// Branches of one request, all groups together. More bindings than that: the least preferred are left out.
    BRANCHES = 16;
    /// Nonces whose use is being counted. Full: the oldest is dropped and all nonces as old become stale.
    NONCES = 128;
    /// Clients that were challenged and have not answered yet. Full: the oldest is forgotten.
    CHALLENGED = 32;
    /// Sources whose rate is being watched. Full: the one quiet longest is dropped.
    SOURCES = 128;
    /// Names being looked up. Full: the request that needs another is answered 503.
    LOOKUPS = 8;
    /// Outcomes of lookups that are kept. Full: the one that expires first gives way.
    DNS_NAMES = 32;
    /// Published presence documents of all people. Full: PUBLISH is answered 503.
    PUBLICATIONS = 32;
    /// Subscriptions to people of the home. Full: a stranger's that waits for an answer gives way to one of the home's people
    /// or of somebody who is let in, the one that ends first; else SUBSCRIBE is answered 503.
    WATCHES = 96;
    /// Subscriptions of strangers, all together. Full: one that waits gives way to one that is let in; else 503.
    STRANGER_WATCHES = 48;
    /// Subscriptions of strangers from one address. More: 503.
    WATCHES_PER_SOURCE = 8;
    /// Subscriptions to a list. Full: SUBSCRIBE is answered 503.
    LISTS = 8;
    /// Entries of one list. More: the excess is left out with a log line.
    LIST_ENTRIES = 64;
    /// Devices and people elsewhere that the home itself is subscribed to. Full: what is new is shown as not known, and
    /// tried again when its watcher refreshes.
    WATCHED = 64;
    /// Answers of people about who may see them. Full: the person is told so, and nothing is forgotten.
    VERDICTS = 64;
    /// Kept texts, recordings and missed calls of all people. Full: the oldest deleted one gives way, else what is new is
    /// refused.
    LETTERS = 1024;
    /// Of these, from senders who only claim a name, all together. More: refused, so that they never take all.
    STRANGER_LETTERS = 512;
    /// Kept for one person from one sender, what she deleted not counted. More: refused.
    LETTERS_PER_SENDER = 256;
    /// Kept for one person from one who only claims a name. More: refused.
    LETTERS_PER_STRANGER = 64;
    /// Senders of what is kept. Full: what is from another is refused.
    SENDERS = 192;
    /// Of these, who only claim a name. More: what is from another is refused.
    STRANGER_SENDERS = 96;
    /// Deleted letters whose record is still to be removed, beyond the room for letters. Full: what is new is refused.
    LEAVING_LETTERS = 32;
    /// Senders of one person's letters who were told that she is away. Full: the oldest is forgotten, and may be told again.
    REPLIED = 24;
    /// Calls that make somebody be on the phone. Full: the oldest is not counted any more.
    CALLS = 16;
    /// Connections to the web page. Full: the one idle longest is closed, else the new one is refused.
    WEB_CONNECTIONS = 16;
    /// Connections to the web page from one address; browsers open six. More: the one idle longest is closed, else the new
    /// one is refused.
    WEB_CONNECTIONS_PER_SOURCE = 6;
    /// Sessions of the web page, links that were not opened yet among them. Full: the oldest link gives way, else the
    /// session idle longest.
    SESSIONS = 32;
    /// Names and addresses with failed logins that are remembered. Full: the one that may try again first is forgotten.
    FAILED_LOGINS = 32;
    /// Message store: blocks of 512 bytes. Full: a larger block is taken; none at all: 503.
    BLOCKS_512 = 512;
    /// Message store: blocks of 2 KB.
    BLOCKS_2K = 192;
    /// Message store: blocks of 8 KB.
    BLOCKS_8K = 24;
    /// Message store: blocks of 64 KB.
    BLOCKS_64K = 4;
    /// Answers that wait for what they promise to become durable. Full: they go out at once, with a log line.
    HELD = 64;
    /// Receive windows of streams, 2 KB each. None free: the stream is not read until one is.
    WINDOWS_2K = 72;
    /// Receive windows of 8 KB, for larger messages.
    WINDOWS_8K = 8;
    /// Receive windows of 64 KB, for the largest.
    WINDOWS_64K = 2;
    /// Calls that the answering machine has at once. Full: a call is refused as if there were no machine.
    RECORDINGS = 8;
    /// Requests to the storage that are not answered. Full: the next waits in the state until one is.
    IN_FLIGHT = 128;
    /// Records of the spool: messages and the journal, all people together. Full: what is new is refused.
    SPOOL_RECORDS = 4096;
    /// Owners of messages whose usage is kept ready. More: it is counted anew each time.
    SPOOL_OWNERS = 64;
    /// Bytes of a segment of a new spool. A record may take a third of it. A spool that exists keeps its own.
    SPOOL_SEGMENT_BYTES = 262_144;
    /// Segments of the spool. All live: what is new is refused. A spool that has more is not mounted.
    SPOOL_SEGMENTS = 64;
}

/// Largest SIP message, bytes: what a UDP datagram can carry. Larger on a stream: 513 and the connection is closed.
pub const MESSAGE_BYTES: usize = 65_535;
/// Places where one request to another domain may be sent. More in the DNS: the least preferred are left out.
pub const CANDIDATES: usize = 8;
/// Name servers. More: the excess is left out, as every resolver does.
pub const NAME_SERVERS: usize = 3;
/// Header field lines of one message. More: 400.
pub const FIELDS: usize = 96;
/// Bytes of a name in the configuration.
pub const NAME_BYTES: usize = 64;
/// Bytes of a blob that are appended or read at once.
pub const BLOB_PART_BYTES: usize = 8 * 1024;
/// Bytes of a path in the configuration.
pub const PATH_BYTES: usize = 200;
/// Bytes of a path that a socket may be made at, or in a directory of: they fit a `sockaddr_un` everywhere.
pub const SOCKET_PATH_BYTES: usize = 104;
/// The first socket for media: two for each call of the answering machine, behind those of listeners and lookups.
pub const MEDIA_PORTS: usize = PORTS + LOOKUPS;
/// Sockets the edge may be asked for: those of listeners, then one for each lookup, then those for media.
pub const SOCKETS: usize = MEDIA_PORTS + 2 * RECORDINGS;
/// Bytes of the URL that links to the web page begin with: a scheme, a name, a port.
pub const URL_BYTES: usize = 80;
/// Bytes of the text that a person has sent to who writes while she is away.
pub const BUSY_BYTES: usize = 200;
/// Seconds of a person's own greeting at most. A longer one is refused.
pub const GREETING_SECONDS: usize = 60;
/// Keys one peer may have at once: the one in use, and the one it changes to. More: refused by `pcsd check`.
pub const PINS: usize = 2;
/// Addresses of one buddy. More: refused by `pcsd check`.
pub const ADDRESSES_PER_BUDDY: usize = 4;
/// Bytes of a buddy's address, without scheme and port.
pub const ADDRESS_BYTES: usize = 80;
/// Entries of the list `who` of one rule. More: refused by `pcsd check`.
pub const WHO_PER_RULE: usize = 8;
/// Connections of one account at once.
pub const LINKS: usize = 2;
/// Bytes of the password of an account.
pub const PASSWORD_BYTES: usize = 128;
/// Bytes of a line in the configuration. More: refused by `pcsd check`; comments may be longer.
pub const LINE_BYTES: usize = 512;
/// Bytes of the edits that turn a request into what one branch sends. More: the branch fails with 500.
pub const EDIT_BYTES: usize = 2048;
/// Largest answer the server writes without a transaction; one that does not fit is not sent, and counted.
pub const STATELESS_BYTES: usize = 8 * 1024;

const _: () = {
    assert!(PEOPLE >= 1 && PEOPLE <= 4096);
    assert!(BUDDIES < 65_535 && RULES < 65_535 && WORDS < 65_535, "the model counts them in 16 bits");
    assert!(ADDRESSES_PER_BUDDY <= 255 && ADDRESS_BYTES <= 255 && WHO_PER_RULE <= 255, "these have lengths of 8 bits");
    assert!(BUSY_BYTES <= 255, "its length has 8 bits");
    assert!(URL_BYTES >= "https://".len() + NAME_BYTES + ":65535".len());
    assert!(ACCOUNTS >= 1 && ACCOUNTS <= 255 && CONTACTS + BUDDIES < 65_535 && SIGHTINGS < 65_535 && OUTGOING < 32_768);
    assert!(STRANGER_CONTACTS >= 1 && STRANGER_CONTACTS <= CONTACTS);
    assert!(CONTACTS_PER_ACCOUNT <= CONTACTS && OUTGOING_PER_PERSON <= OUTGOING);
    assert!(BINDINGS >= BINDINGS_PER_PERSON);
    assert!(STREAMS_PER_SOURCE <= STREAMS);
    assert!(BRANCHES <= CLIENT_TRANSACTIONS);
    assert!(BRANCHES >= BINDINGS_PER_PERSON, "every device of a person must ring");
    assert!(CONTEXTS <= SERVER_TRANSACTIONS, "each context answers one server transaction");
    assert!(RECORDINGS >= 1 && RECORDINGS <= 255);
    assert!(IN_FLIGHT >= 4, "the journal, a letter, a page and a recording go on");
    assert!(SOCKETS <= 64, "credits for sockets are one 64-bit set");
    assert!(BLOCKS_64K >= 2, "a largest message can be held while another is read");
    assert!(LOOKUPS >= 1 && LOOKUPS <= 64 && DNS_NAMES >= 1);
    assert!(STRANGER_WATCHES < WATCHES, "strangers never take all");
    assert!(
        LETTERS + LEAVING_LETTERS < 32_768 && SENDERS < 32_768,
        "indexes count in 16 bits and have two cells for each"
    );
    assert!(STRANGER_LETTERS < LETTERS && STRANGER_SENDERS < SENDERS, "strangers never take all");
    assert!(LETTERS_PER_SENDER <= LETTERS && LETTERS_PER_STRANGER <= STRANGER_LETTERS);
    assert!(WEB_CONNECTIONS_PER_SOURCE <= WEB_CONNECTIONS && WEB_CONNECTIONS < 65_535);
    assert!(SESSIONS >= 1 && SESSIONS < 65_535 && FAILED_LOGINS >= 1);
    assert!(LIST_ENTRIES <= 64, "what of a list is to be told is one 64-bit set");
    assert!(SPOOL_RECORDS >= 1 && SPOOL_RECORDS < 32_768, "the index counts in 16 bits and has two cells for each");
    assert!(SPOOL_OWNERS >= 1 && SPOOL_OWNERS < 32_768);
    assert!(SPOOL_SEGMENTS >= 4 && SPOOL_SEGMENTS <= 1024, "a head, two with records and one in reserve");
    assert!(SPOOL_SEGMENT_BYTES >= 1024 && SPOOL_SEGMENT_BYTES <= 16 << 20 && SPOOL_SEGMENT_BYTES.is_multiple_of(512));
    assert!(STREAMS < 65_535 && BINDINGS < 65_535 && SERVER_TRANSACTIONS < 65_535 && CLIENT_TRANSACTIONS < 65_535);
};

/// The decimal number in `text`, or `default` when the build environment does not set it.
const fn decimal(text: Option<&str>, default: usize) -> usize {
    let Some(text) = text else { return default };
    let bytes = text.as_bytes();
    let mut value = 0;
    let mut i = 0;
    while i < bytes.len() {
        assert!(bytes[i].is_ascii_digit(), "a limit in the build environment is not a decimal number");
        value = value * 10 + (bytes[i] - b'0') as usize;
        i += 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn environment_overrides_the_default() {
        assert_eq!(decimal(None, 7), 7);
        assert_eq!(decimal(Some("1200"), 7), 1200);
    }
}
