//! Reading a file through a lent buffer, so that many small records cost few reads.

use embedded_io::{Read, Seek, SeekFrom};

/// A part of a file in memory. The file must not change while there is one.
pub(super) struct Window<'b> {
    buffer: &'b mut [u8],
    start: u32,
    len: usize,
}

impl<'b> Window<'b> {
    /// Nothing is in memory yet.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, start: 0, len: 0 }
    }

    /// The bytes at `at`: `wanted` of them, at most the buffer's size; fewer only at the end of the file.
    pub fn get<F: Read + Seek>(&mut self, file: &mut F, at: u32, wanted: usize) -> Result<&[u8], F::Error> {
        let wanted = wanted.min(self.buffer.len());
        let is_inside = at >= self.start && (at - self.start) as usize + wanted <= self.len;
        if !is_inside {
            self.start = at;
            // Valid only once it is filled.
            self.len = 0;
            self.len = read_at(file, at, self.buffer)?;
        }
        let from = (at - self.start) as usize;
        Ok(&self.buffer[from..(from + wanted).min(self.len)])
    }
}

/// Reads at `at` until `buffer` is full or the file ends; says how many bytes.
pub(super) fn read_at<F: Read + Seek>(file: &mut F, at: u32, buffer: &mut [u8]) -> Result<usize, F::Error> {
    file.seek(SeekFrom::Start(at.into()))?;
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..])? {
            0 => break,
            read => len += read,
        }
    }
    Ok(len)
}
