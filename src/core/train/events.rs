//! TensorBoard event files: scalars and PNG images.
//!
//! The format is TFRecord framing (length, masked CRC-32C, payload, masked CRC-32C) around the protocol buffers of
//! `tensorflow/core/util/event.proto` and `framework/summary.proto`, of which five messages are needed.

use crate::error::{Error, Result};
use crate::files;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What the names of event files begin with.
const PREFIX: &str = "events.out.tfevents.";

/// An open event file. Each process that works on a run adds a file of its own.
pub struct Events {
    path: PathBuf,
    file: File,
}

/// Writes protocol buffer fields: each a tag (number and wire type), then the value.
#[derive(Default)]
struct Proto(Vec<u8>);

impl Proto {
    fn varint(&mut self, mut x: u64) {
        while x >= 0x80 {
            self.0.push((x as u8 & 0x7f) | 0x80);
            x >>= 7;
        }
        self.0.push(x as u8);
    }

    fn int(mut self, field: u64, x: u64) -> Self {
        self.varint(field << 3);
        self.varint(x);
        self
    }

    fn double(mut self, field: u64, x: f64) -> Self {
        self.varint(field << 3 | 1);
        self.0.extend(x.to_le_bytes());
        self
    }

    fn float(mut self, field: u64, x: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(x.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, x: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(x.len() as u64);
        self.0.extend(x);
        self
    }

    fn message(self, field: u64, x: Proto) -> Self {
        self.bytes(field, &x.0)
    }
}

/// `Event { wall_time = 1; step = 2; .. }`.
fn event(step: u64) -> Proto {
    Proto::default().double(1, files::unix_time()).int(2, step)
}

fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

impl Events {
    /// Starts a new event file in `dir`. Readers drop what earlier files say of steps that this session does again: those after `done`, the step that
    /// a resumed run goes on from, or all where the run begins.
    ///
    /// # Errors
    /// `E0301` when the system refuses.
    pub fn create(dir: &Path, done: Option<u64>) -> Result<Self> {
        // TensorBoard drops the step that START carries as well.
        let first = done.map_or(0, |step| step.saturating_add(1));
        let seconds = files::unix_time();
        // Readers take the files in the order of these numbers: also where the clock went back, or two processes were started in one second.
        let told = |name: &str| name.strip_prefix(PREFIX)?.split('.').next()?.parse::<u64>().ok();
        let last = files::list(dir)?.iter().filter_map(|(name, _)| told(name)).max();
        let number = last.map_or(0, |last| last.saturating_add(1)).max(seconds as u64);
        for n in 0.. {
            let path = dir.join(format!("{PREFIX}{number}.{}.{n}.lathe", std::process::id()));
            if let Some(file) = files::create_new(&path)? {
                let mut events = Events { path, file };
                // `file_version = 3`; then `session_log = 7 { status = 1: START }`.
                events.write(Proto::default().double(1, seconds).bytes(3, b"brain.Event:2"))?;
                events.write(event(first).message(7, Proto::default().int(1, 1)))?;
                return Ok(events);
            }
        }
        unreachable!("the loop has no end")
    }

    fn write(&mut self, event: Proto) -> Result<()> {
        let payload = event.0;
        let length = (payload.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(payload.len() + 16);
        record.extend(length);
        record.extend(masked_crc(&length).to_le_bytes());
        record.extend(&payload);
        record.extend(masked_crc(&payload).to_le_bytes());
        self.file.write_all(&record).map_err(|e| Error::io("write", &self.path, e))
    }

    /// Adds numbers under their tags: `summary = 5 { value = 1 { tag = 1; simple_value = 2 } }`.
    ///
    /// # Errors
    /// `E0301` when the system refuses, as with a full disk.
    pub fn scalars(&mut self, step: u64, values: &[(String, f64)]) -> Result<()> {
        let value = |(tag, x): &(String, f64)| Proto::default().bytes(1, tag.as_bytes()).float(2, *x as f32);
        let summary = values.iter().fold(Proto::default(), |s, v| s.message(1, value(v)));
        self.write(event(step).message(5, summary))
    }

    /// Adds an RGB picture: `image = 4 { height = 1; width = 2; colorspace = 3; encoded_image_string = 4 }`.
    ///
    /// # Errors
    /// `E0301` when the system refuses, as with a full disk.
    pub fn image(&mut self, step: u64, tag: &str, width: u32, height: u32, png: &[u8]) -> Result<()> {
        let image = Proto::default().int(1, height.into()).int(2, width.into()).int(3, 3).bytes(4, png);
        let value = Proto::default().bytes(1, tag.as_bytes()).message(4, image);
        self.write(event(step).message(5, Proto::default().message(1, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    struct Event {
        #[prost(double, tag = "1")]
        wall_time: f64,
        #[prost(int64, tag = "2")]
        step: i64,
        #[prost(string, tag = "3")]
        file_version: String,
        #[prost(message, optional, tag = "5")]
        summary: Option<Summary>,
        #[prost(message, optional, tag = "7")]
        session_log: Option<SessionLog>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct SessionLog {
        #[prost(int32, tag = "1")]
        status: i32,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Summary {
        #[prost(message, repeated, tag = "1")]
        value: Vec<SummaryValue>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct SummaryValue {
        #[prost(string, tag = "1")]
        tag: String,
        #[prost(float, optional, tag = "2")]
        simple_value: Option<f32>,
        #[prost(message, optional, tag = "4")]
        image: Option<Image>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Image {
        #[prost(int32, tag = "1")]
        height: i32,
        #[prost(int32, tag = "2")]
        width: i32,
        #[prost(int32, tag = "3")]
        colorspace: i32,
        #[prost(bytes = "vec", tag = "4")]
        encoded_image_string: Vec<u8>,
    }

    /// CRC-32C by the polynomial, bit by bit: another implementation than the one that wrote the file.
    fn slow_masked_crc(bytes: &[u8]) -> u32 {
        let mut crc = !0u32;
        for b in bytes {
            crc ^= u32::from(*b);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            }
        }
        let crc = !crc;
        crc.rotate_right(15).wrapping_add(0xa282_ead8)
    }

    fn records(mut bytes: &[u8]) -> Vec<Event> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let n = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(bytes[8..12], slow_masked_crc(&bytes[..8]).to_le_bytes());
            assert_eq!(bytes[12 + n..16 + n], slow_masked_crc(&bytes[12..12 + n]).to_le_bytes());
            out.push(Event::decode(&bytes[12..12 + n]).unwrap());
            bytes = &bytes[16 + n..];
        }
        out
    }

    #[test]
    fn another_parser_reads_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut events = Events::create(dir.path(), Some(99)).unwrap();
        events.scalars(150, &[("loss".into(), 0.25), ("grad norm".into(), f64::INFINITY)]).unwrap();
        events.image(1_000_000_007, "samples", 300, 2, b"not really a png").unwrap();
        let second = Events::create(dir.path(), None).unwrap();
        assert_ne!(events.path, second.path);
        let got = records(&std::fs::read(&events.path).unwrap());
        assert_eq!(got[0].file_version, "brain.Event:2");
        assert_eq!((got[1].step, got[1].session_log.as_ref().unwrap().status), (100, 1));
        assert!(got[2].wall_time > 1.6e9);
        let values = &got[2].summary.as_ref().unwrap().value;
        assert_eq!((got[2].step, values[0].tag.as_str(), values[0].simple_value), (150, "loss", Some(0.25)));
        assert_eq!((values[1].tag.as_str(), values[1].simple_value), ("grad norm", Some(f32::INFINITY)));
        let image = got[3].summary.as_ref().unwrap().value[0].image.clone().unwrap();
        assert_eq!(got[3].step, 1_000_000_007);
        assert_eq!(image, Image { height: 2, width: 300, colorspace: 3, encoded_image_string: b"not really a png".to_vec() });
        assert_eq!(got.len(), 4);
    }

    /// TensorBoard's rule (`EventAccumulator._CheckForRestartAndMaybePurge`): a START drops every point from its own step on.
    fn as_tensorboard_shows(files: &[PathBuf]) -> Vec<i64> {
        let mut shown: Vec<i64> = Vec::new();
        for event in files.iter().flat_map(|f| records(&std::fs::read(f).unwrap())) {
            if event.session_log.is_some_and(|l| l.status == 1) {
                shown.retain(|step| *step < event.step);
            }
            shown.extend(event.summary.map(|_| event.step));
        }
        shown
    }

    #[test]
    fn tensorboard_keeps_the_last_point_before_a_resume() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        // Each session: the step that it goes on from, the steps that it logs. The second one dies at 8 after a checkpoint at 7.
        for (done, steps) in [(None, 1..=6), (Some(6), 7..=8), (Some(7), 8..=10), (Some(10), 11..=12)] {
            let mut events = Events::create(dir.path(), done).unwrap();
            steps.for_each(|step| events.scalars(step, &[("loss".into(), 1.0)]).unwrap());
            files.push(events.path.clone());
        }
        assert_eq!(as_tensorboard_shows(&files), (1..=12).collect::<Vec<_>>());
        // A run that begins again from nothing shows nothing of what was there before.
        files.push(Events::create(dir.path(), None).unwrap().path);
        assert!(as_tensorboard_shows(&files).is_empty());
    }
}
