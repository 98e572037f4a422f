//! Messages, recordings and loads: in order, as soon as may be, and durable within the second.

use super::*;
use crate::spool::Kind;

const VOICE: Key = Key { kind: Kind::Voice, id: 7 };
const GREETING: Key = Key { kind: Kind::Greeting, id: 7 };

fn meta(key: Key) -> Meta {
    Meta { key, owner: 1, at: 0, blob_bytes: 0 }
}

/// Answers of a worker, with what was loaded.
fn answers(client: &mut Client, from: u32) -> Vec<(u32, Result<Vec<u8>, StoreError>)> {
    let (end, last) = (Clock::now() + PATIENCE, client.next_ticket - 1);
    let mut answers = Vec::new();
    while answers.last().is_none_or(|(ticket, _)| *ticket != last) {
        assert!(Clock::now() < end, "only {answers:?}");
        client.exchange.await_report(Duration::from_millis(100));
        let mut reports = Reports::default();
        client.exchange.take_reports(&mut reports);
        let mut bytes = reports.bytes.as_slice();
        for report in reports.list {
            match report {
                Report::Done(ticket, outcome) => answers.push((ticket.0, outcome.map(|()| Vec::new()))),
                Report::Loaded(ticket, outcome) => {
                    let payload = bytes.split_off(..outcome.unwrap_or(0)).unwrap();
                    answers.push((ticket.0, outcome.map(|_| payload.to_vec())));
                }
                _ => {}
            }
        }
    }
    let expected: Vec<u32> = (from..=last).collect();
    assert_eq!(answers.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), expected, "in order, none twice");
    answers
}

/// Gives the worker all of these as one batch.
fn batch(client: &mut Client, taps: &Taps, requests: &[(Request, &[u8])]) -> usize {
    // It stalls in the commit of the first, while the others queue up.
    taps.stall(true);
    let before = taps.syncs.load(Ordering::Relaxed);
    assert!(client.put(99, b"first"));
    let end = Clock::now() + PATIENCE;
    while taps.syncs.load(Ordering::Relaxed) == before {
        assert!(Clock::now() < end);
        thread::sleep(Duration::from_millis(1));
    }
    requests.iter().for_each(|(request, payload)| assert!(client.ask(*request, payload)));
    taps.stall(false);
    before + 1
}

#[test]
fn a_batch_is_answered_in_order_with_one_commit() {
    let place = Place::new("batch");
    let taps = Arc::new(Taps::default());
    let mut client = Client::start(TappedFolder(place.make("spool"), taps.clone()));
    client.until_ready();
    assert!(client.put(0, b"the first segment is made"));
    assert_eq!(client.outcomes(0), [Ok(())]);
    let put = |id| Request::Put(meta(text(id)), 6, BlobStep::None);
    let open = Request::Put(meta(VOICE), 4, BlobStep::Open);
    let requests: [(Request, &[u8]); 12] = [
        (put(1), b"\0hello"),
        (Request::Load(text(1)), b""),
        (Request::Amend(text(1), 1), b""),
        (Request::Load(text(1)), b""),
        (Request::Load(text(2)), b""),
        (open, b"\0rec"),
        (Request::Append(VOICE, 5), b"sound"),
        (Request::Append(VOICE, 5), b" more"),
        (Request::Append(GREETING, 5), b"never"),
        (Request::Read(VOICE, 3, 4), b""),
        (Request::Read(VOICE, 10, 4), b""),
        (Request::Amend(text(9), 1), b""),
    ];
    let from = client.next_ticket;
    let syncs = batch(&mut client, &taps, &requests);
    let answers: Vec<_> = answers(&mut client, from).into_iter().skip(1).map(|(_, answer)| answer).collect();
    let done = || Ok(Vec::new());
    let unknown = || Err(StoreError::Unknown);
    let load = |bytes: &[u8]| Ok(bytes.to_vec());
    let expected = [done(), load(b"\0hello"), done(), load(b"\x01hello"), unknown(), done(), done(), done(), unknown()];
    assert_eq!(answers[..9], expected);
    assert_eq!(answers[9..], [load(b"nd m"), load(b""), unknown()]);
    assert_eq!(taps.syncs.load(Ordering::Relaxed) - syncs, 1, "one fsync");
    client.stop();
}

#[test]
fn a_load_does_not_wait_for_what_comes_after_it() {
    let place = Place::new("load");
    let taps = Arc::new(Taps::default());
    let mut client = Client::start(TappedFolder(place.make("spool"), taps.clone()));
    client.until_ready();
    assert!(client.put(1, b"hello"));
    assert_eq!(client.outcomes(0), [Ok(())]);
    assert!(client.ask(Request::Load(text(1)), b""));
    // The disk stalls in an fsync of what was asked with it.
    taps.stall(true);
    assert!(client.put(2, b"stalls"));
    client.until(|report| *report == Report::Loaded(Ticket(1), Ok(5)));
    taps.stall(false);
    client.until(|report| *report == Report::Done(Ticket(2), Ok(())));
    client.stop();
}

#[test]
fn a_slow_loop_costs_no_memory() {
    let place = Place::new("slow");
    let taps = Arc::new(Taps::default());
    let mut client = Client::start(TappedFolder(place.make("spool"), taps.clone()));
    client.until_ready();
    let large = std::vec![7; exchange::PAYLOAD_BYTES_MAX];
    assert!(client.put(1, &large));
    assert_eq!(client.outcomes(0), [Ok(())]);
    let put = Request::Put(meta(text(2)), 1, BlobStep::None);
    let mut requests: Vec<(Request, &[u8])> = std::vec![(put, b"x")];
    requests.extend((0..30).map(|_| (Request::Load(text(1)), &b""[..])));
    batch(&mut client, &taps, &requests);
    thread::sleep(Duration::from_millis(200));
    let (mut loaded, mut largest) = (0, 0);
    let end = Clock::now() + PATIENCE;
    while loaded < 30 {
        assert!(Clock::now() < end);
        client.exchange.await_report(Duration::from_millis(100));
        let mut reports = Reports::default();
        client.exchange.take_reports(&mut reports);
        largest = largest.max(reports.bytes.len());
        let is_loaded = |report: &&Report| matches!(report, Report::Loaded(_, Ok(exchange::PAYLOAD_BYTES_MAX)));
        loaded += reports.list.iter().filter(is_loaded).count();
    }
    assert_eq!(largest, exchange::PAYLOAD_BYTES_MAX, "one at a time");
    client.stop();
}

#[test]
fn recordings_are_synced_each_second_and_adopted_by_the_next_start() {
    let place = Place::new("recording");
    let taps = Arc::new(Taps::default());
    let path = place.make("spool");
    let mut client = Client::start(TappedFolder(path.clone(), taps.clone()));
    client.until_ready();
    assert!(client.ask(Request::Put(meta(VOICE), 5, BlobStep::Open), b"\0open"));
    assert_eq!(client.outcomes(0), [Ok(())]);
    let (began, before) = (Clock::now(), taps.syncs.load(Ordering::Relaxed));
    // Never idle for as long as it waits for work.
    while began.elapsed() < Duration::from_millis(3_000) {
        let from = client.next_ticket;
        assert!(client.ask(Request::Append(VOICE, 800), &[1; 800]));
        assert_eq!(client.outcomes(from), [Ok(())]);
        thread::sleep(Duration::from_millis(100));
    }
    let syncs = taps.syncs.load(Ordering::Relaxed) - before;
    assert!((3..=5).contains(&syncs), "{syncs} fsyncs in 3 s");
    let appended = 800 * (client.next_ticket - 1);
    // Killed: nobody closes it.
    client.stop();

    let mut next = Loop::start(&place, Some(path.clone()));
    let told = next.until(Event::Moved(Storage::Disk));
    assert_eq!(told[0], (Event::Restored(VOICE, 5, Source::Disk, appended), b"\0open".to_vec()));
    let ticket = next.ticket();
    next.records.read(ticket, VOICE, appended - 10, 8_192);
    assert_eq!(next.loaded(ticket), Ok(std::vec![1; 10]));
    // It is closed as it is, and marked.
    let ticket = next.ticket();
    next.records.store(ticket, VOICE, 1, b"\0closed", BlobStep::Close);
    assert_eq!(next.outcome(ticket), Ok(()));
    let ticket = next.ticket();
    next.records.amend(ticket, VOICE, 1);
    assert_eq!(next.outcome(ticket), Ok(()));
    let ticket = next.ticket();
    next.records.append(ticket, VOICE, b"late");
    assert_eq!(next.outcome(ticket), Err(StoreError::Unknown));
    let ticket = next.ticket();
    next.records.load(ticket, VOICE);
    assert_eq!(next.loaded(ticket), Ok(b"\x01closed".to_vec()));
    assert_eq!(next.forget(VOICE), Ok(()));
    next.records.stop(PATIENCE);
    assert!(names_in(&path).iter().all(|name| !name.starts_with("blob-")));
}

#[test]
fn without_a_disk_only_sessions_are_kept() {
    let place = Place::new("nodisk");
    let session = Key { kind: Kind::Session, id: 1 };
    let mut this = Loop::start(&place, None);
    this.events();
    for key in [text(1), VOICE, GREETING, Key { kind: Kind::Call, id: 1 }] {
        assert_eq!(this.store(key, b"x"), Err(StoreError::NoDisk));
        let ticket = this.ticket();
        this.records.append(ticket, key, b"x");
        assert_eq!(this.outcome(ticket), Err(StoreError::NoDisk));
        let ticket = this.ticket();
        this.records.amend(ticket, key, 1);
        assert_eq!(this.outcome(ticket), Err(StoreError::NoDisk));
        let ticket = this.ticket();
        this.records.load(ticket, key);
        assert_eq!(this.loaded(ticket), Err(StoreError::NoDisk));
    }
    assert_eq!(this.store(session, b"\0session"), Ok(()));
    let ticket = this.ticket();
    this.records.amend(ticket, session, 1);
    assert_eq!(this.outcome(ticket), Ok(()));
    drop(this);
    let mut next = Loop::start(&place, None);
    assert_eq!(next.events()[0], restored(session, b"\x01session", Source::Memory));
}

#[test]
fn when_the_disk_goes_everything_is_answered_in_order() {
    let place = Place::new("gone");
    let spool = place.0.join("spool");
    begin_spool(&spool, &[]);
    let mut server = Loop::start(&place, Some(spool.clone()));
    server.until(Event::Moved(Storage::Disk));
    let ticket = server.ticket();
    server.records.store(ticket, VOICE, 1, b"\0", BlobStep::Open);
    assert_eq!(server.outcome(ticket), Ok(()));
    fs::rename(&spool, place.0.join("away")).unwrap();
    let tickets: Vec<Ticket> = (0..6).map(|_| server.ticket()).collect();
    for pair in tickets.chunks(2) {
        server.records.append(pair[0], VOICE, b"sound");
        server.records.read(pair[1], VOICE, 0, 100);
    }
    let told = server.until(Event::Moved(Storage::Memory));
    let answers = told.iter().filter_map(|(event, _)| match event {
        Event::Stored(ticket, Err(_)) => Some((*ticket, false)),
        Event::Loaded(ticket, Err(_)) => Some((*ticket, true)),
        _ => None,
    });
    let expected: Vec<_> = tickets.iter().enumerate().map(|(at, ticket)| (*ticket, at % 2 == 1)).collect();
    assert_eq!(answers.collect::<Vec<_>>(), expected);
    server.records.stop(PATIENCE);
}

#[test]
fn a_start_tells_more_than_its_queue_holds() {
    let place = Place::new("many");
    let spool = place.0.join("spool");
    let large = std::vec![5; 30_000];
    let count = IDS - 2;
    let mut records: Vec<_> = (0..count).map(|id| (text(id), large.as_slice())).collect();
    records.push((setting(1), b"on"));
    begin_spool(&spool, &records);
    let mut this = Loop::start(&place, Some(spool));
    // At once, with no other turn of the loop in between.
    let told = this.events();
    assert_eq!(told[0], restored(setting(1), b"on", Source::Disk));
    assert_eq!(
        told[1..].iter().filter(|(event, _)| matches!(event, Event::Restored(_, 30_000, ..))).count() as u64,
        count
    );
    assert_eq!(told.last().unwrap().0, Event::Moved(Storage::Disk));
    this.records.stop(PATIENCE);
}
