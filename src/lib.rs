//! pcsd: a personal communication server for the home router.
//!
//! One daemon, one thread that works, tables of fixed size. Phones register with it; it rings all devices of a person,
//! carries their messages, and stays on the path of what it began. This text is where to start reading: the floors of
//! the house, the contract between the core and the world, one message's way from end to end, and the rules that hold
//! everywhere.
//!
//! # The floors
//!
//! Every file belongs to a floor, and `use crate::` points downward only.
//!
//! | floor | module | what it knows |
//! |---|---|---|
//! | 0 | [`base`] | limits, tables and handles, deadlines, kept bytes, text, keyed hashes. Nothing of SIP. |
//! | 1 | [`wire`] | bytes to values that borrow them, and back. No state, no time. |
//! | 2 | [`sip`] | protocol machines: transactions, transport, resolver, digest, sealed routes. Nothing of people. |
//! | 2 | [`media`] | what an answering machine hears and says: RTP in order, recordings, greetings, WAV. No sockets, no disk. |
//! | 2 | [`config`] | the UCI file, its faults, and the model that every service reads |
//! | 3 | [`home`] | the services: people, registrar, front door, forking proxy, presence agent, inbox, outbox, answering machine; the commands of `sip:pcs` |
//! | 3 | [`bridge`] | connectors to other networks, behind one contract: each a client of its network, for one account of one person. Nothing of the home. |
//! | 3 | [`spool`] | what has to be there after a power cut: messages and the journal, on any disk |
//! | 4 | [`web`] | the page with what is kept: HTTP, sessions, and what it needs of the house |
//! | 4 | [`server`] | owns every table and leads each request through the house |
//! | 5 | `runtime` | sockets, clock, signals, log, control socket, command line: the one place with `std` |
//!
//! Floors 0 to 4 are the *core*: `no_std`, no allocator, no `unsafe`, no I/O. With the feature `runtime` off nothing
//! else is built, and that builds for a CPU without an operating system. The binary is a few lines over `runtime`.
//!
//! # The contract
//!
//! The core is a machine that the world turns ([`server::contract`]). A *turn* is:
//!
//! 1. [`Server::handle`](server::Server::handle): one input. A datagram came, a stream has bytes, an address appeared,
//!    time passed.
//! 2. [`Server::poll`](server::Server::poll) until it says `None`: each call writes at most one output into the
//!    caller's buffer: send this datagram, flush that stream, open a port there.
//! 3. Sleep until [`Server::poll_timeout`](server::Server::poll_timeout) or the next input.
//!
//! Five properties follow, and most of the code is explained by them:
//!
//! - **No queue of outputs.** `handle` changes state and marks *who* has something to send, in the ready ring of
//!   [`base::schedule::Schedule`]. `poll` takes the next one and builds the bytes from its state. A burst of inputs
//!   can't overflow anything but the tables, and each table has its own answer for that ([`base::limits`]).
//! - **Credits.** The caller says which sockets can be written ([`server::contract::Credits`]). What has no credit is
//!   not produced: it stays in the state and stays ready.
//! - **Retransmission from bytes.** What a transaction has sent is frozen in [`base::store`] and repeated bit by bit.
//!   A fork keeps the request once; each branch has a share of it and its own edits.
//! - **One immediate slot.** Answers without a transaction (challenges, refusals) and passing ACKs keep nothing; they
//!   wait in a single slot which `poll` empties before anything else is read.
//! - **Any world will do.** The runtime is one caller of the contract; a simulated network with a virtual clock is
//!   another, and sees the same server.
//!
//! # One message's way
//!
//! Bob's phone sends a MESSAGE for `sip:alice@home.example` by UDP. Alice has two devices registered, a tablet and a
//! phone.
//!
//! *In.* `runtime::driver::drive` waits for readiness; `Driver::receive` reads the datagram and hands it to
//! `Server::handle`, which calls `Core::datagram`. A keep-alive ends here. So does a source over its limit: it is
//! dropped before it costs a parse ([`sip::limiter`]). `Core::message` has [`wire::sip::Message::parse`] split the
//! text; the message borrows the datagram and copies nothing.
//!
//! *Known?* `Core::request` in `server/requests.rs` makes keyed hashes of what identifies the request (`Stack::keys`).
//! If a server transaction has that key, this is a retransmission: `Stack::absorb` repeats the last answer. If the
//! same request is being worked on, come by another way, it is merged: 482. `Routes::of` reads which Route values are
//! ours.
//!
//! *Where to?* `Core::route` has `Core::locate` turn the Request-URI into a place: this server, a person, a device, a
//! dialog that passes here, or outside. Here: the person Alice. Hops and loops are checked ([`sip::branch`]).
//!
//! *Who asks?* From says bob, an address of ours, which has to be proven: `Core::asker` calls
//! [`home::identity::identify`]. Without credentials `Core::challenge` writes a 407 into the immediate slot; the nonce
//! is sealed, not stored, so the challenge costs no memory. The phone sends the MESSAGE again, with credentials;
//! [`sip::digest::Nonces`] checks the hash and that the nonce was not used so before. Now it is Bob, by digest. A From
//! in another domain would be a stranger, who only claims a name.
//!
//! *May he?* `Core::admit_and_send` collects the devices of Alice that take messages, and asks the front door:
//! [`home::policy::decide`], a pure function of who asks, for what, and what is there. No other code decides. It says
//! `Deliver`.
//!
//! *Fork.* [`home::proxy::Proxy::start`] freezes the request, opens a server transaction, and keeps a
//! [`Context`](home::proxy::context::Context) with two targets. For each, `start_branch` finds the way (as a rule the
//! flow its REGISTER came by), writes what changes as edits on the original bytes ([`home::proxy::forward`]: Request-URI,
//! Via, Max-Forwards, credentials out), freezes those, and makes a client transaction with 8 s to succeed. Nothing has been
//! sent yet: two tasks are in the ready ring.
//!
//! *Out.* `Server::poll` pops the first; `Stack::produce_request` applies its edits to the original, straight into the
//! driver's buffer, and the driver sends it. Then the second. Then `None`, and the turn is over. If a device stays
//! silent, timer E is due in the schedule: `Core::due` marks the request unsent, and the same bytes go out again.
//!
//! *Back.* The tablet answers 200. Its top Via is ours; [`sip::branch::Branch`] in it holds the handle of the client
//! transaction and a secret that proves it, so `Stack::answered` finds it without a search and forgeries find nothing.
//! `Proxy::answered` takes our Via off, freezes the answer for the server transaction, and the next `poll` sends it to
//! Bob's phone. The 200 of Alice's phone is the second: it ends its branch and goes no further. Had her phone refused,
//! or said nothing for 8 s, [`home::policy::missed`] would have it counted for Alice. Had neither taken it, it would be
//! kept: "When nobody is there" goes on from here.
//!
//! *Rest.* With no branch left, `Proxy::settle` removes the context and gives its share of the bytes back. Both sorts
//! of transactions linger to absorb repetitions, with a key and a last answer at most; when a table is full, the
//! finished ones give way first, oldest first. When all is quiet, [`Server::is_at_rest`](server::Server::is_at_rest)
//! says so, and the tests ask it.
//!
//! A call takes the same way; the differences are in the transactions (ACK, CANCEL, no timer E), in Record-Route,
//! which keeps us on its path by a sealed token for each side ([`sip::token`], no dialog is stored), and in the 2xx,
//! which cancels the other branches. A REGISTER turns off in `Core::route` to [`home::registrar`]. What comes by a
//! stream is cut into messages by [`wire::sip::framer`], one for each time round the loop in `poll`.
//!
//! # How presence travels
//!
//! Bob's phone subscribes to Alice: `Core::subscribe` in `server/agent.rs` challenges it as any request, asks the front door
//! ([`home::policy::decide`]: shown, pending, refused), and keeps a [`Watch`](home::presence::watch::Watch) with a dialog of
//! ours. A stranger whom no rule knows is pending: Alice is told by a MESSAGE from `sip:pcs` ([`home::word`]), and what she
//! answers, to `sip:pcs` or through `pcsctl` ([`Server::command`](server::Server::command), words in [`home::commands`]), is
//! kept as a [`verdict`](home::presence::verdict).
//!
//! What is known of Alice has four sources: documents that her clients publish
//! ([`publication`](home::presence::publication)), her registrations, her calls ([`home::calls`]), and her own word. To that
//! come devices that only answer who asks them; the home subscribes to these itself, as it does to buddies elsewhere
//! ([`watched`](home::presence::watched)). When one of them changes, it wakes one task, `Task::People`;
//! `Presence::gather` puts the status together by the rule in [`compose`](home::presence::compose), and marks those who
//! watch her if it is not what it was.
//!
//! Nothing is written yet. When a marked watch has no NOTIFY on its way and its last is a second old,
//! `Presence::produce` ([`notify`](home::presence::notify)) asks the front door *now* what this watcher sees: two watchers
//! get two documents, each in his format ([`wire::pidf`]), and a rule or an answer counts from the next one on. If it is
//! what he was last told, nothing goes. Else the bytes are frozen in a client transaction; what changes meanwhile marks the
//! watch again, so the newest state always follows and nothing queues up. A watcher who does not answer loses his watch.
//!
//! # When nobody is there
//!
//! *A text.* Neither device of Alice takes Bob's MESSAGE, or she has none. `Proxy::advance` does not settle it: it marks the
//! context as asked with a [`Stage`](home::policy::Stage) and wakes it. `Core::ask_again` in `server/delegation.rs` puts the
//! same question to the front door as before, with what has happened since; [`decide`](home::policy::decide) says `Keep`.
//! The letter's name is a hash of who wrote what to whom, so a resend is the same letter
//! ([`Inbox::find`](home::inbox::Inbox::find)). [`Inbox::admit`](home::inbox::Inbox::admit) reserves its place, number and
//! sender, or refuses: a stranger has a small share. When the edge has room, `Core::store_text` writes the record from the
//! kept request straight into its buffer, as `Output::Store` with a ticket; `server/tickets.rs` remembers whose ticket it
//! is. Nothing is answered until `Input::Stored` says that it is durable: then Bob gets 202, Alice's watchers of
//! message-summary a NOTIFY, and Bob, once in this absence ([`home::absence`]), a reply in her name. Whatever fails before
//! is a refusal with a reason, and the text stays with him. Should the tablet say 200 after all, the letter goes again.
//!
//! *A call.* It rings for `answer_after` seconds; then, or when all devices are busy or gone, the door says `Answer`, and the
//! machine becomes one more branch of the context: `Core::answer_by_machine` in `server/machine.rs` chooses a codec from the
//! offer ([`wire::sdp`]), opens two UDP ports by outputs like all others, and answers 200 as a UAS of its own
//! ([`sip::call`]), which cancels the phones. A [`Session`](media::session::Session) says the greeting, read from the
//! disk piece by piece or built in, puts what it hears in order and hands it out in chunks; each becomes an
//! `Output::Append` to the blob of a record that was begun before the first word. The loop never waits for the disk: what
//! that does not take in time is a gap, and counted. `#`, silence, BYE or the limit end it; who said nothing has missed her,
//! and is noted as a missed call.
//!
//! *Back.* `Core::watch_absences` is told of every change of her state; 5 s after she is available again
//! [`Absence`](home::absence::Absence) gives her out once. `server/returning.rs` sends her the texts one by one, if that is
//! her wish, then one message from `sip:pcs` ([`home::phrases`]) about what is new since the number she was last told. A
//! device's 200 to it moves that number, and the journal keeps it: nobody is told twice.
//!
//! *The page.* The link in that message is a token of which only a hash is kept ([`web::session`]). [`web::Web`] is a
//! machine for connections as the stack is one for messages: it takes bytes, makes the next piece of an answer, and asks
//! for records by the steps [`Load`](web::Step::Load) and [`Read`](web::Step::Read), which the server turns into outputs.
//! It sees the rest through [`House`](web::House). Sound is stored as it was received and becomes WAV on its way out, any
//! range of it by itself ([`media::wav`]). `pcsctl inbox` is the shorter way: the list is the core's
//! ([`Server::letters`](server::Server::letters)), a content is read by the thread that owns the disk
//! (`runtime/storage/job.rs`), and the client makes a file of it.
//!
//! # Out of the home, and back
//!
//! Alice's phone sends a MESSAGE to `sip:carl@other.test`. `Core::locate` finds none of ours in it, so the place is
//! *outside*, and the front door lets it pass because Alice has proven herself; a stranger is refused before a name is
//! looked up for him. [`home::outside::destination`] then asks where `other.test` is: a `config peer` may say
//! it outright, else [`sip::resolver`] does (RFC 3263). What it has in its cache is there at once; else the context is
//! opened without targets and waits for the lookup, whose datagrams and streams are outputs and inputs like all others:
//! a socket of its own for each try. When the lookup ends, `Proxy::located` gives the context its targets, the servers
//! of that domain: they are tried one after the other, as flows of one device are, until one answers.
//!
//! Over TLS the edge makes the connection only with who proves to be the domain
//! ([`Server::expected`](server::Server::expected)), and says who the other end has proven to be. A connection that
//! *they* made carries our requests, too, when they said so (RFC 5923). The tokens in Record-Route bring the answers' BYE
//! back the same way; if that connection is gone, the next hop's own address says how to make another.
//!
//! At this border the home shows nothing of its devices ([`home::proxy::veil`]): Alice's Via comes off, her Contact is an
//! address of ours with her own sealed in it ([`sip::mask`]), a Call-ID that names her phone is sealed as a whole. Carl's
//! answer gets all of that back from the request, which the server transaction keeps; his BYE, addressed to the sealed
//! Contact, becomes one for her phone's own. Nothing is remembered for it, so a restart in mid-call changes nothing.
//!
//! # To other networks, and back
//!
//! Carl has no SIP. He is on XMPP and on IRC, as Alice is; for her he is one buddy, `sip:carl@home.example`. The home is her
//! client on both: for each account there is a [`Connector`](bridge::Connector), a machine like the core itself, to which bytes
//! go in and from which bytes, a deadline and [`Event`](bridge::Event)s come out. `server/accounts.rs` drives them all: it asks
//! [`Connector::target`](bridge::Connector::target) where a link leads, has [`sip::resolver`] find that, makes a stream whose
//! user is the account, hands over what its receive window holds, and after a failure tries again, later each time. The table
//! of connectors stands beside the core and not in it, so that what one of them reads can be handed on while it is borrowed;
//! what the house knows of an account (how it stands, what it is to be told) is in `server/bridges.rs`. No connector knows the
//! house, and no service a protocol.
//!
//! *One text out.* Alice's phone sends a MESSAGE for Carl. It is challenged and routed as any other until `Core::write_to_buddy`
//! in `server/outward.rs` finds that [`People::reach`](home::people::People::reach) means a buddy who has addresses on networks.
//! [`People::ways`](home::people::People::ways) lists them, with what is known of him at each, and
//! [`route`](home::people::route::route), a pure function, chooses. If it says SIP, the request goes on as it would have. Else a
//! response context is opened that no branch answers, and the text, now plain, is taken into the
//! [`Outbox`](home::outbox::Outbox). That wakes the task of its account; `Server::give_orders` asks for the next text that goes
//! there *now*, so one that waited while Carl went elsewhere goes elsewhere, and gives it to the connector as a
//! [`Command::Send`](bridge::Command::Send) with a number. Its bytes join the stream. When the network has it the connector says
//! [`Event::Sent`](bridge::Event::Sent) with that number, and the phone gets 200. If there is no way, or nothing is heard for 8 s,
//! the text becomes a record of the spool and the phone gets 202: from then on the home owes it. When he shows up anywhere,
//! [`Output::Load`](server::contract::Output::Load) brings it back; when the network has taken it, the record is forgotten.
//!
//! *One in.* Carl answers from IRC. The bytes end up in [`Connector::received`](bridge::Connector::received), which makes an
//! [`Incoming`](bridge::Incoming) of them; `Core::text_came` in `server/inward.rs` drops what has come in before under the same
//! name, notes that he last wrote from there, and makes a MESSAGE from `sip:carl@home.example` of it. That goes the way of all
//! requests (`server/within.rs`): past the front door, with the assurance that an account gives
//! ([`Assurance::Account`](home::policy::Assurance::Account)), to her devices, or into the inbox. Its final answer is no packet:
//! it leaves as an outcome with the number of what came in, and becomes a [`Command::Settled`](bridge::Command::Settled).
//! Only then XMPP is told that the message has arrived. What is not settled fills a small table; when that is full the link is
//! not read, the window fills, and TCP slows the network down.
//!
//! *His presence.* A connector tells each place where he is; [`Contacts`](home::people::contacts::Contacts) keeps them, shows
//! who leaves a moment longer, so that a short cut of the link changes nothing, and says which buddies look different.
//! [`compose`](home::people::compose::compose) makes one presence of all networks and SIP, and those who watch the buddy get a
//! NOTIFY of it with a tuple for each network.
//!
//! *Hers.* A change of her state wakes the tasks of her accounts, too. `Core::showing` asks the front door what that network is
//! shown, as [`decide`](home::policy::decide) is asked for any watcher, and says nothing when it is what was said last. After a
//! start it waits with bad news until her phones have had time to register again.
//!
//! # What outlives the power
//!
//! Services hold state in tables and mark what has changed; the journal (`server/journal.rs`) writes the newest state of
//! it when the edge has room, under a key, as a record of [`spool`]: an append-only log whose engine runs over any disk.
//! The edge answers each record when it is durable, a burst with one fsync. The answer to a REGISTER waits for that. At
//! the next start the records come back as inputs, before the first packet is read: bindings know how much time they
//! have left, and tokens are sealed with a key that the edge keeps. Of an account on another network it is the place up to which
//! its archive was read, of a text on its way there the text itself. Whatever must be remembered later joins as another kind
//! of record.
//!
//! # Where things live
//!
//! One [`Server`](server::Server) holds every table. It is a `static`, made in a constant, all zero: in `.bss`, where
//! a table costs no memory until it is touched (`scripts/build` fails when it moves). Objects name each other by
//! [`Handle`](base::table::Handle): slot and generation, so a handle to what is gone finds nothing. A handle survives
//! a trip through a stranger as a number in a branch or a token, because it is checked like any other when it comes
//! back. What strangers choose (Call-IDs, names, branches) is looked up by hashes with a key of this start, in
//! [`base::table::Index`].
//!
//! A share of kept bytes ([`base::store::Bytes`]) is not `Clone` and must be given back: whoever takes an object out
//! of a table releases its shares.
//!
//! # How time passes
//!
//! It does not, inside. [`Instant`](base::time::Instant) is milliseconds since some start and comes with each call.
//! Each object has at most one deadline, its earliest, in the schedule; when its state changes, its deadline is set
//! again (`reschedule_…`). The time of day is an input like any other, may come late and may jump, and only the Date
//! of an answer depends on it. The edge counts from the machine's boot, so that instants outlive a restart of the program;
//! the name of the boot is kept beside them.
//!
//! # Reading order
//!
//! 1. [`base::limits`], [`base::table`], [`base::schedule`], [`base::store`]: the vocabulary.
//! 2. [`server::contract`], then `server.rs` from `handle` to `due`.
//! 3. [`wire::sip`] with `message.rs` and `edit.rs`.
//! 4. `server/requests.rs`, `asking.rs` and `admission.rs` beside the section above, with [`home::policy`] open.
//! 5. [`sip::stack`] and [`sip::transaction`], then [`home::proxy`] and [`home::registrar`].
//! 6. `runtime/driver.rs`: the contract from the other side.
//! 7. [`home::presence`] beside its section above, then `server/agent.rs`.
//! 8. [`home::inbox`], `server/delegation.rs`, `machine.rs` and `returning.rs` beside theirs; [`media::session`]; [`web`].
//! 9. [`bridge`] with its contract, `bridge/connector.rs`, then one connector (IRC is the shortest to read); `server/accounts.rs`,
//!    `inward.rs` and `outward.rs` beside their section; [`home::people::route`], [`home::people::contacts`], [`home::outbox`].
//!
//! Limits of what is there: media of the answering machine only, none is relayed or transcoded; places are only those that
//! clients publish; of other networks XMPP and IRC, and texts between two people only, no rooms, calls or files. Every file
//! opens with the RFC sections it follows and what it leaves out.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "runtime"))]
extern crate std;

pub mod base;
pub mod bridge;
pub mod config;
pub mod home;
pub mod media;
#[cfg(feature = "runtime")]
pub mod runtime;
pub mod server;
pub mod sip;
pub mod spool;
pub mod web;
pub mod wire;
