//! A check of a spool that reads only: what a mount would find.

use super::{Disk, Limits, Memory, Problem, Report, Spool};

/// Reads the whole spool on `disk` and says what there is. Nothing is written, created, or removed; the spool must not be
/// in use meanwhile. Gives the disk back.
pub fn check<D: Disk>(disk: D, memory: &mut Memory) -> (D, Result<Report, Problem<D::Error>>) {
    let mut spool = Spool::new(disk, memory, Limits::NONE);
    let result = spool.survey().map(|survey| survey.report);
    (spool.into_disk(), result)
}
