//! Documents as clients send them, and as they are written.

use std::string::{String as Owned, ToString};

use super::*;

fn parsed(format: Format, body: &str) -> Status {
    read(format, body.as_bytes()).unwrap_or_else(|fault| panic!("{}: {body}", fault.reason))
}

fn written(format: Format, status: &Status, at: Option<UnixTime>) -> Owned {
    let mut buffer = [0; 8192];
    let mut out = Writer::new(&mut buffer);
    write(format, &Document { entity: b"sip:alice@home.example", status, at, id: 0x1a }, &mut out);
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
<caps:message>true</caps:message><caps:methods><caps:supported><caps:MESSAGE/></caps:supported></caps:methods>\
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
         <contact>sip:alice@home.example</contact></tuple>\n<dm:person id=\"p0000001a\"></dm:person>\n</presence>\n"
    );
}
