//! Documents as clients send them, and as they are written.

use std::format;
use std::string::{String as Owned, ToString};

use super::*;

fn parsed(format: Format, body: &str) -> Status {
    read(format, body.as_bytes()).unwrap_or_else(|fault| panic!("{}: {body}", fault.reason))
}

fn written(format: Format, status: &Status, at: Option<UnixTime>) -> Owned {
    let mut buffer = [0; 8192];
    let mut out = Writer::new(&mut buffer);
    write(format, &Document { entity: b"sip:alice@home.example", status, at, id: 0x1a, tuples: &[] }, &mut out);
    let len = out.finish().unwrap();
    str::from_utf8(&buffer[..len]).unwrap().to_string()
}

fn note(text: &str) -> heapless::String<NOTE_BYTES> {
    text.try_into().unwrap()
}

/// A status with everything.
fn full() -> Status {
    Status {
        basic: Some(Basic::Open),
        activities: Activities::of(&[Activity::OnThePhone, Activity::Away]),
        moods: Moods::of(&[Mood::InLove]),
        place_type: Some(PlaceType::Cafe),
        sphere: Some(Sphere::Work),
        user_input: Some(UserInput::Idle),
        note: note("At Home & <well> (17:05)"),
        place: Some(Place {
            name: "Home".try_into().unwrap(),
            position: Some(Position { latitude: 48_137_154, longitude: -1_000_050, radius_m: 30 }),
        }),
        takes: Takes { audio: Some(true), video: Some(false), message: Some(true) },
    }
}

const FULL: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" \
xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" xmlns:caps=\"urn:ietf:params:xml:ns:pidf:caps\" \
xmlns:lt=\"urn:ietf:params:xml:ns:location-type\" xmlns:gp=\"urn:ietf:params:xml:ns:pidf:geopriv10\" \
xmlns:gml=\"http://www.opengis.net/gml\" xmlns:gs=\"http://www.opengis.net/pidflo/1.0\" \
xmlns:cl=\"urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr\" entity=\"sip:alice@home.example\">
<tuple id=\"t0000001a\"><status><basic>open</basic></status><caps:servcaps><caps:audio>true</caps:audio>\
<caps:message>true</caps:message><caps:methods><caps:supported><caps:INVITE/><caps:MESSAGE/></caps:supported></caps:methods>\
<caps:video>false</caps:video></caps:servcaps><contact>sip:alice@home.example</contact>\
<note>At Home &amp; &lt;well&gt; (17:05)</note><timestamp>2010-11-13T23:29:00Z</timestamp></tuple>
<dm:person id=\"p0000001a\"><rpid:activities><rpid:away/><rpid:on-the-phone/></rpid:activities>\
<rpid:mood><rpid:in_love/></rpid:mood><rpid:place-type><lt:cafe/></rpid:place-type>\
<rpid:sphere><rpid:work/></rpid:sphere><rpid:user-input>idle</rpid:user-input>\
<gp:geopriv><gp:location-info><gs:Circle srsName=\"urn:ogc:def:crs:EPSG::4326\">\
<gml:pos>48.137154 -1.000050</gml:pos><gs:radius uom=\"urn:ogc:def:uom:EPSG::9001\">30</gs:radius></gs:Circle>\
<cl:civicAddress><cl:LOC>Home</cl:LOC></cl:civicAddress></gp:location-info><gp:usage-rules/></gp:geopriv>\
<dm:note>At Home &amp; &lt;well&gt; (17:05)</dm:note><dm:timestamp>2010-11-13T23:29:00Z</dm:timestamp></dm:person>
</presence>
";

#[test]
fn pidf_is_written_and_read() {
    let status = full();
    let document = written(Format::Pidf, &status, Some(UnixTime(1_289_690_940)));
    assert_eq!(document, FULL);
    assert_eq!(parsed(Format::Pidf, FULL), status);
    let closed = Status { basic: Some(Basic::Closed), ..Status::new() };
    assert_eq!(
        written(Format::Pidf, &closed, None),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" \
         entity=\"sip:alice@home.example\">\n<tuple id=\"t0000001a\"><status><basic>closed</basic></status>\
         <contact>sip:alice@home.example</contact></tuple>\n</presence>\n"
    );
}

const LINPHONE: &str = include_str!("../../../tests/data/pidf/linphone.xml");
const BARESIP: &str = include_str!("../../../tests/data/pidf/baresip.xml");
const PJSIP: &str = include_str!("../../../tests/data/pidf/pjsip.xml");
const JITSI: &str = include_str!("../../../tests/data/pidf/jitsi.xml");
const MESSENGER: &str = include_str!("../../../tests/data/pidf/messenger.xml");
const LCS: &str = include_str!("../../../tests/data/pidf/lcs.xml");
const LOCATION: &str = include_str!("../../../tests/data/pidf/location.xml");

const CLIENTS: [(Format, &str); 8] = [
    (Format::Pidf, LINPHONE),
    (Format::Pidf, BARESIP),
    (Format::Pidf, PJSIP),
    (Format::Pidf, JITSI),
    (Format::Xpidf, MESSENGER),
    (Format::Msrtc, LCS),
    (Format::Pidf, LOCATION),
    (Format::Pidf, FULL),
];

#[test]
fn what_clients_send() {
    let status = |activities: &[Activity], text: &str| Status {
        basic: Some(Basic::Open),
        activities: Activities::of(activities),
        note: note(text),
        ..Status::new()
    };
    assert_eq!(parsed(Format::Pidf, LINPHONE), status(&[Activity::Busy], "En r\u{e9}union"));
    assert_eq!(parsed(Format::Pidf, BARESIP), status(&[], ""));
    assert_eq!(parsed(Format::Pidf, PJSIP), status(&[Activity::Busy], "On the phone"));
    assert_eq!(parsed(Format::Pidf, JITSI), status(&[Activity::OnThePhone], "On the phone"));
    assert_eq!(parsed(Format::Xpidf, MESSENGER), status(&[Activity::Lunch], ""));
    assert_eq!(parsed(Format::Msrtc, LCS), status(&[Activity::Busy], "In a meeting until 3"));
    let position = Some(Position { latitude: 42_546_300, longitude: -73_251_200, radius_m: 851 });
    let place = Some(Place { name: "Corner Shop".try_into().unwrap(), position });
    assert_eq!(parsed(Format::Pidf, LOCATION), Status { place, ..Status::new() });
}

#[test]
fn xpidf_and_msrtc_are_written() {
    let status = Status {
        basic: Some(Basic::Open),
        activities: Activities::of(&[Activity::Away, Activity::Meeting]),
        note: note("\"back\" <6>"),
        ..full()
    };
    assert_eq!(
        written(Format::Xpidf, &status, Some(UnixTime(0))),
        "<?xml version=\"1.0\"?>\n<!DOCTYPE presence PUBLIC \"-//IETF//DTD RFCxxxx XPIDF 1.0//EN\" \"xpidf.dtd\">\n\
         <presence>\n<presentity uri=\"sip:alice@home.example;method=SUBSCRIBE\"/>\n<atom id=\"26\">\n\
         <address uri=\"sip:alice@home.example\" priority=\"0.800000\">\n<status status=\"inuse\"/>\n\
         <msnsubstatus substatus=\"busy\"/>\n<note>&quot;back&quot; &lt;6&gt;</note>\n</address>\n</atom>\n</presence>\n"
    );
    assert_eq!(
        written(Format::Msrtc, &status, None),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <presentity xmlns=\"http://schemas.microsoft.com/2002/09/sip/presence\" uri=\"alice@home.example\">\n\
         <availability aggregate=\"300\" description=\"online\"/>\n\
         <activity aggregate=\"600\" description=\"Busy\" note=\"&quot;back&quot; &lt;6&gt;\"/>\n\
         <userInfo><note>&quot;back&quot; &lt;6&gt;</note></userInfo>\n</presentity>\n"
    );
}

#[test]
fn each_activity_survives_where_the_format_has_it() {
    for activity in Activity::ALL {
        let status = Status { basic: Some(Basic::Open), activities: Activities::of(&[*activity]), ..Status::new() };
        assert_eq!(parsed(Format::Pidf, &written(Format::Pidf, &status, None)), status);
        let sets = [Activities::BUSY, Activities::EATING, Activities::AWAY];
        assert!(sets.iter().filter(|set| set.contains(*activity)).count() <= 1, "{activity:?} in several");
        let expected = match activity {
            Activity::OnThePhone | Activity::InTransit => Activities::of(&[*activity]),
            it if Activities::BUSY.contains(*it) => Activities::of(&[Activity::Busy]),
            it if Activities::EATING.contains(*it) => Activities::of(&[Activity::Lunch]),
            it if Activities::AWAY.contains(*it) => Activities::of(&[Activity::Away]),
            _ => Activities::NONE,
        };
        for format in [Format::Xpidf, Format::Msrtc] {
            let again = parsed(format, &written(format, &status, None));
            assert_eq!(again, Status { activities: expected, ..status.clone() }, "{format:?} {activity:?}");
            let closed = Status { basic: Some(Basic::Closed), ..status.clone() };
            let again = parsed(format, &written(format, &closed, None));
            assert_eq!(again, Status { basic: Some(Basic::Closed), ..Status::new() }, "{format:?} {activity:?}");
        }
    }
    let idle = Status { basic: Some(Basic::Open), user_input: Some(UserInput::Idle), ..Status::new() };
    Format::ALL.iter().for_each(|format| assert_eq!(parsed(*format, &written(*format, &idle, None)), idle));
    for mood in Mood::ALL {
        let status = Status { moods: Moods::of(&[*mood]), ..Status::new() };
        assert_eq!(parsed(Format::Pidf, &written(Format::Pidf, &status, None)), status);
    }
    for place_type in PlaceType::ALL {
        let status = Status { place_type: Some(*place_type), ..Status::new() };
        assert_eq!(parsed(Format::Pidf, &written(Format::Pidf, &status, None)), status);
    }
}

#[test]
fn codes_and_substatuses() {
    for (status, substatus, basic, activity) in [
        ("open", "online", Basic::Open, None),
        ("open", "", Basic::Open, None),
        ("inuse", "", Basic::Open, Some(Activity::Busy)),
        ("inuse", "onthephone", Basic::Open, Some(Activity::OnThePhone)),
        ("inactive", "", Basic::Open, Some(Activity::Away)),
        ("inactive", "berightback", Basic::Open, Some(Activity::InTransit)),
        ("INACTIVE", "Away", Basic::Open, Some(Activity::Away)),
        ("closed", "away", Basic::Closed, None),
        ("", "offline", Basic::Closed, None),
    ] {
        let body = format!(
            "<presence><atom><address><status status='{status}'/><msnsubstatus substatus='{substatus}'/></address></atom></presence>"
        );
        let found = parsed(Format::Xpidf, &body);
        assert_eq!((found.basic, found.activities), (Some(basic), activity.into_iter().collect()), "{body}");
    }
    for (availability, code, basic, activity) in [
        (0, 0, Basic::Closed, None),
        (299, 400, Basic::Closed, None),
        (300, 400, Basic::Open, None),
        (300, 100, Basic::Open, Some(Activity::Away)),
        (300, 150, Basic::Open, Some(Activity::Lunch)),
        (300, 300, Basic::Open, Some(Activity::InTransit)),
        (300, 500, Basic::Open, Some(Activity::OnThePhone)),
        (300, 600, Basic::Open, Some(Activity::Busy)),
        (300, 800, Basic::Open, None),
    ] {
        let body = format!(
            "<m:presentity xmlns:m='x'><m:availability m:aggregate='{availability}'/><m:activity m:aggregate=' {code}'/></m:presentity>"
        );
        let found = parsed(Format::Msrtc, &body);
        assert_eq!((found.basic, found.activities), (Some(basic), activity.into_iter().collect()), "{body}");
    }
    let inner =
        "<presence><atom><address><status status='closed'><note>gone</note></status></address></atom></presence>";
    assert_eq!(parsed(Format::Xpidf, inner).note, "gone");
    let nothing = "<presentity><availability aggregate='x'/><activity aggregate='99999999'/></presentity>";
    assert_eq!(parsed(Format::Msrtc, nothing), Status::new());
    assert_eq!(
        parsed(Format::Xpidf, "<presence><atom><address><status status='?'/></address></atom></presence>"),
        Status::new()
    );
}

#[test]
fn parts_of_a_document_come_together() {
    let document = |inner: &str| {
        format!(
            "<presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:d='urn:ietf:params:xml:ns:pidf:data-model' entity='sip:a@b'>{inner}</presence>"
        )
    };
    let tuple =
        |basic: &str, rest: &str| format!("<tuple id='t'><status><basic>{basic}</basic></status>{rest}</tuple>");
    let closed = tuple("closed", "<note>tuple</note>");
    let read = |inner: &str| parsed(Format::Pidf, &document(inner));
    assert_eq!(read(""), Status::new());
    for (inner, basic) in [
        (tuple("closed", ""), Some(Basic::Closed)),
        (closed.clone() + &tuple("open", "") + &closed, Some(Basic::Open)),
        (tuple("\n\t OPEN ", ""), Some(Basic::Open)),
        (tuple("Closed", ""), Some(Basic::Closed)),
        (tuple("ajar", ""), None),
        (tuple("", ""), None),
        ("<basic>open</basic>".to_string(), None),
        ("<tuple><status><x:basic xmlns:x='http://other.example'>open</x:basic></status></tuple>".to_string(), None),
    ] {
        assert_eq!(read(&inner).basic, basic, "{inner}");
    }
    let (person, plain) = ("<d:person><d:note>person</d:note></d:person>", "<note>document</note><note>second</note>");
    for (inner, expected) in [
        (plain.to_string(), "document"),
        (plain.to_string() + &closed, "tuple"),
        (closed.clone() + plain, "tuple"),
        (closed.clone() + person + plain, "person"),
        (person.to_string() + &closed, "person"),
        (closed + "<d:person><d:note> \n </d:note></d:person>", "tuple"),
    ] {
        assert_eq!(read(&inner).note, expected, "{inner}");
    }
    let takes = |inner: &str| {
        read(&tuple("open", &format!("<c:servcaps xmlns:c='urn:ietf:params:xml:ns:pidf:caps'>{inner}</c:servcaps>")))
            .takes
    };
    assert_eq!(
        takes("<c:audio> true</c:audio><c:video>0</c:video><c:audio>false</c:audio>"),
        Takes { audio: Some(true), video: Some(false), message: None }
    );
    assert_eq!(takes("<c:methods><c:supported><c:INVITE/><c:MESSAGE/></c:supported></c:methods>").message, Some(true));
    assert_eq!(takes("<c:methods><c:notsupported><c:MESSAGE/></c:notsupported></c:methods>").message, Some(false));
    assert_eq!(takes("<c:text>perhaps</c:text><c:isfocus>true</c:isfocus>"), Takes::default());
}

#[test]
fn any_prefix_and_old_drafts() {
    let forms = [
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:r='urn:ietf:params:xml:ns:pidf:rpid'><person xmlns='urn:ietf:params:xml:ns:pidf:data-model'><r:activities><r:away/></r:activities></person></presence>",
        "<x:presence xmlns:x='urn:ietf:params:xml:ns:pidf'><activities xmlns='urn:ietf:params:xml:ns:pidf:rpid'><away/></activities></x:presence>",
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:es='urn:ietf:params:xml:ns:pidf:rpid:status'><tuple><status><es:activities><es:activity>away</es:activity></es:activities></status></tuple></presence>",
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:rp='urn:ietf:params:xml:ns:pidf:rpid-person'><rp:person><rp:activities since='2005-01-01T00:00:00Z'><rp:note>x</rp:note><rp:away></rp:away><rp:juggling/></rp:activities></rp:person></presence>",
        "<presence xmlns='urn:ietf:params:xml:ns:cpim-pidf:'><tuple><status><s:activities xmlns:s='urn:ietf:params:xml:ns:pidf:status:rpids'><s:away/></s:activities></status></tuple></presence>",
        "<presence><person><activities><AWAY/></activities></person></presence>",
    ];
    for form in forms {
        let expected = Status { activities: Activities::of(&[Activity::Away]), ..Status::new() };
        assert_eq!(parsed(Format::Pidf, form), expected, "{form}");
    }
    let more = "<presence xmlns:r='urn:ietf:params:xml:ns:pidf:rpid'><person><r:mood><r:happy/><r:hungry/></r:mood>\
        <r:place-type><home/></r:place-type><r:sphere><r:home/></r:sphere><r:user-input idle-threshold='600'>idle</r:user-input>\
        </person><device><r:user-input>active</r:user-input><deviceID>x</deviceID></device></presence>";
    let expected = Status {
        moods: Moods::of(&[Mood::Happy, Mood::Hungry]),
        place_type: Some(PlaceType::Residence),
        sphere: Some(Sphere::Home),
        user_input: Some(UserInput::Active),
        ..Status::new()
    };
    assert_eq!(parsed(Format::Pidf, more), expected);
}

#[test]
fn positions() {
    let shape = |shape: &str| {
        let body =
            format!("<presence><person><geopriv><location-info>{shape}</location-info></geopriv></person></presence>");
        parsed(Format::Pidf, &body).place.and_then(|place| place.position)
    };
    let at = |latitude, longitude, radius_m| Some(Position { latitude, longitude, radius_m });
    assert_eq!(shape("<Point><pos>-33.8567844 151.213108</pos></Point>"), at(-33_856_784, 151_213_108, 0));
    assert_eq!(shape("<Point><pos>\n +90 -180.0 12.5</pos></Point>"), at(90_000_000, -180_000_000, 0));
    assert_eq!(
        shape("<location><Point><coordinates>1.5,-0.000001</coordinates></Point></location>"),
        at(1_500_000, -1, 0)
    );
    assert_eq!(shape("<Circle><pos>1 2</pos><radius>0.2</radius></Circle>"), at(1_000_000, 2_000_000, 1));
    assert_eq!(shape("<Circle><pos>1 2</pos><radius>9999999999</radius></Circle>"), at(1_000_000, 2_000_000, u32::MAX));
    assert_eq!(shape("<Circle><pos>1 2</pos><radius>-5</radius></Circle>"), at(1_000_000, 2_000_000, 0));
    for bad in ["", "1", "90.000001 0", "0 -181", "1e1 2", "- 1", "nan inf", ". .", "1.2.3 4", "99999999999999999999 1"]
    {
        assert_eq!(shape(&format!("<Point><pos>{bad}</pos></Point>")), None, "{bad}");
    }
    let two = "<presence><tuple><status><geopriv><location-info><civicAddress><FLR>3</FLR><RD>High Street</RD></civicAddress></location-info></geopriv></status></tuple>\
        <person><geopriv><location-info><Point><pos>1 2</pos></Point></location-info></geopriv></person></presence>";
    let place = parsed(Format::Pidf, two).place.unwrap();
    assert_eq!((place.name.as_str(), place.position), ("3", None));
}

#[test]
fn notes_are_cut_and_cleaned() {
    let long = "\u{20ac}".repeat(70);
    for (format, body) in [
        (Format::Pidf, format!("<presence><person><note>x{long}</note></person></presence>")),
        (Format::Xpidf, format!("<presence><atom><address><note>x{long}</note></address></atom></presence>")),
        (Format::Msrtc, format!("<presentity><activity aggregate='400' note='x{long}'/></presentity>")),
    ] {
        let status = parsed(format, &body);
        assert_eq!((status.note.len(), status.note.chars().count()), (160, 54), "{format:?}");
    }
    // What XML does not have is left out; the rest survives in elements and in attributes.
    let status =
        Status { basic: Some(Basic::Open), note: note("a\u{0}\u{1b}b\n\t\"<c>'\r\u{ffff}&amp;"), ..Status::new() };
    for format in Format::ALL {
        assert_eq!(parsed(format, &written(format, &status, None)).note, "ab\n\t\"<c>'\r&amp;", "{format:?}");
    }
}

#[test]
fn what_is_refused() {
    let reason = |format, body: &[u8]| read(format, body).unwrap_err().reason;
    assert_eq!(reason(Format::Pidf, b"<list/>"), "Not a Presence Document");
    assert_eq!(reason(Format::Msrtc, b"<presence/>"), "Not a Presence Document");
    let nested = |depth: usize| {
        let (open, close) = ("<x>".repeat(depth), "</x>".repeat(depth));
        format!("<presence><tuple><status>{open}{close}<basic>open</basic></status></tuple></presence>")
    };
    assert_eq!(parsed(Format::Pidf, &nested(13)).basic, Some(Basic::Open));
    assert_eq!(reason(Format::Pidf, nested(14).as_bytes()), "XML Too Deep");
    let bomb = "<!DOCTYPE presence [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><presence><note>&b;</note></presence>";
    assert_eq!(reason(Format::Xpidf, bomb.as_bytes()), "DTD in XML");
    assert_eq!(reason(Format::Pidf, b"<presence><note>&b;</note></presence>"), "Unknown Entity");
    assert_eq!(reason(Format::Pidf, b"<presence><tuple></presence>"), "Mismatched Tag");
    assert_eq!(reason(Format::Pidf, b"<presence/><presence/>"), "Second Root Element");
    for (format, body) in CLIENTS {
        let end = body.trim_end().len();
        for len in 0..end {
            assert!(read(format, &body.as_bytes()[..len]).is_err(), "{format:?} cut at {len}");
        }
        assert!(read(format, &body.as_bytes()[..end]).is_ok());
        fuzz(body.as_bytes());
    }
}

#[test]
fn the_largest_document_fits() {
    let status = Status {
        activities: Activity::ALL.iter().copied().collect(),
        moods: Mood::ALL.iter().copied().collect(),
        note: note(&"\"".repeat(NOTE_BYTES)),
        place_type: Some(PlaceType::ConventionCenter),
        place: Some(Place {
            name: "'".repeat(PLACE_BYTES).as_str().try_into().unwrap(),
            position: Some(Position { latitude: -90_000_000, longitude: -180_000_000, radius_m: u32::MAX }),
        }),
        takes: Takes { audio: Some(false), video: Some(false), message: Some(false) },
        ..full()
    };
    let lens = Format::ALL.map(|format| {
        let document = written(format, &status, Some(UnixTime(1_289_690_940)));
        assert_eq!(parsed(format, &document).note, status.note);
        document.len() - 2 * "sip:alice@home.example".len()
    });
    assert!(lens.iter().all(|len| *len <= DOCUMENT_BYTES), "{lens:?}");
    assert!(lens[0] > DOCUMENT_BYTES - 512, "{lens:?}: the limit is too generous");
}

#[test]
fn statuses_are_stored() {
    let mut buffer = [0; 512];
    let status = full();
    let stored = postcard::to_slice(&status, &mut buffer).unwrap();
    assert_eq!(postcard::from_bytes::<Status>(stored).unwrap(), status);
    let stored = postcard::to_slice(&Status::new(), &mut buffer).unwrap();
    assert!(stored.iter().all(|byte| *byte == 0) && stored.len() <= 16, "{stored:?}");
    assert_eq!(Status::new(), Status::default());
}

#[test]
fn words_and_sets() {
    let mut set = Activities::NONE;
    assert!(set.is_empty() && set.iter().next().is_none());
    set.insert(Activity::Worship);
    set.insert(Activity::Appointment);
    assert!(set.names().eq(["appointment", "worship"]) && set.contains(Activity::Worship));
    assert_eq!(set.union(Activities::of(&[Activity::Away])).iter().count(), 3);
    set.remove(Activity::Worship);
    assert_eq!(set, Activities::of(&[Activity::Appointment]));
    for activity in Activity::ALL {
        assert_eq!(Activity::from_name(&activity.name().to_ascii_uppercase()), Some(*activity));
    }
    assert_eq!((Activity::from_name("on the phone"), Activity::ALL.len()), (None, 27));
}

#[test]
fn content_types() {
    for format in Format::ALL {
        let parameters = format!("{} ; charset=\"utf-8\"", format.content_type().to_uppercase());
        assert_eq!(Format::of_type(parameters.as_bytes()), Some(format));
    }
    for other in ["", "application/pidf", "application/pidf-diff+xml", "text/xml", "application/*", "pidf+xml"] {
        assert_eq!(Format::of_type(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn each_watcher_gets_what_it_reads() {
    let chosen =
        |accept: &[&str], user_agent: &str| choose(accept.iter().map(|value| value.as_bytes()), user_agent.as_bytes());
    for (accept, expected) in [
        (&["application/pidf+xml"][..], Some(Format::Pidf)),
        (&["application/xpidf+xml", "application/pidf+xml"], Some(Format::Pidf)),
        (&["application/xpidf+xml;q=1, application/pidf+xml;q=0.1"], Some(Format::Pidf)),
        (&["application/xpidf+xml, text/xml+msrtc.pidf, text/plain"], Some(Format::Xpidf)),
        (&["text/xml+msrtc.pidf", "text/xml"], Some(Format::Msrtc)),
        (&["*/*"], Some(Format::Pidf)),
        (&["application/*;q=0.2"], Some(Format::Pidf)),
        (&["*/*, application/pidf+xml;q=0"], Some(Format::Xpidf)),
        (&["application/pidf+xml;q=0", "*/*;q=0"], None),
        (&["application/PIDF+XML"], Some(Format::Pidf)),
        (&["application/rlmi+xml", "multipart/related"], None),
        (&["rubbish"], None),
        (&[""], None),
    ] {
        assert_eq!(chosen(accept, "Windows RTC/1.2"), expected, "{accept:?}");
    }
    assert_eq!(chosen(&[], "Windows RTC/1.2"), Some(Format::Xpidf));
    assert_eq!(chosen(&[], "RTC/1.2.4949 (Messenger 5.1)"), Some(Format::Xpidf));
    assert_eq!(chosen(&[], "baresip v3.0"), Some(Format::Pidf));
    assert_eq!(chosen(&[], ""), Some(Format::Pidf));
}

#[test]
fn a_tuple_for_each_address_where_somebody_is() {
    let mut status = Status::new();
    status.basic = Some(Basic::Open);
    let tuple = |label, is_open, contact| Tuple { label, is_open, contact };
    let tuples =
        [tuple("xmpp", true, &b"xmpp:b&b@x"[..]), tuple("sip", false, b"sip:b@y"), tuple("irc", true, b"irc:b")];
    let written = |format| {
        let mut buffer = [0; 4096];
        let mut out = Writer::new(&mut buffer);
        write(
            format,
            &Document { entity: b"sip:bob@home.example", status: &status, at: None, id: 3, tuples: &tuples },
            &mut out,
        );
        str::from_utf8(out.written()).unwrap().to_string()
    };
    let pidf = written(Format::Pidf);
    let expected = "<tuple id=\"t00000003\"><status><basic>open</basic></status><contact>sip:bob@home.example</contact>\
        </tuple>\n<tuple id=\"xmpp00000003-0\"><status><basic>open</basic></status><contact>xmpp:b&amp;b@x</contact></tuple>\n\
        <tuple id=\"irc00000003-2\"><status><basic>open</basic></status><contact>irc:b</contact></tuple>\n</presence>\n";
    assert!(pidf.ends_with(expected), "{pidf}");
    assert_eq!(parsed(Format::Pidf, &pidf), status);
    assert!(!written(Format::Xpidf).contains("xmpp:") && !written(Format::Msrtc).contains("xmpp:"));
}
