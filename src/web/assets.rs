//! The files of the pages that never change while the program runs.

/// A file.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Asset {
    /// Its path.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
}

impl Asset {
    /// A hash of the content (FNV-1a), for its entity tag: a new version of the program may have another.
    pub const fn version(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut at = 0;
        while at < self.bytes.len() {
            hash = (hash ^ self.bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        hash
    }
}

/// The file at a path.
pub(super) fn find(path: &[u8]) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path.as_bytes() == path)
}

static ASSETS: [Asset; 4] = [
    Asset { path: "/style.css", content_type: "text/css; charset=utf-8", bytes: include_bytes!("assets/style.css") },
    Asset {
        path: "/script.js",
        content_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("assets/script.js"),
    },
    Asset { path: "/icon.svg", content_type: "image/svg+xml", bytes: include_bytes!("assets/icon.svg") },
    Asset {
        path: "/manifest.json",
        content_type: "application/manifest+json",
        bytes: include_bytes!("assets/manifest.json"),
    },
];
