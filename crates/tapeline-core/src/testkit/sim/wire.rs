//! The simulator's own byte format: short binary frames, so that a client sees exactly what arrived in bytes.

use bytes::Bytes;
use tapeline_schema::CloseCode;

use super::tables::Said;
use crate::message::{Epoch, Message, Wire};
use crate::reply::{GapReason, Reply};

/// The one format of a simulated world.
pub(super) static WIRE: SimWire = SimWire;

pub(super) struct SimWire;

/// A message's place: in its channel or in a roll-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub channel: String,
    pub epoch: Epoch,
    pub offset: u64,
}

/// What a client reads.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    Message { serial: u64, own: Place, roll_ups: Vec<Place>, said: Option<Said> },
    Confirmed { topic: String, head: Option<Place>, recovered: Option<bool>, req: u64 },
    Gap { channel: String, from: u64, to: Option<u64>, reason: GapReason },
    Conflated { count: u64 },
    Other,
    Close,
}

struct Out(Vec<u8>);

impl Out {
    fn new(kind: u8) -> Self {
        // The length is written when it is known.
        Out(vec![0, 0, 0, 0, kind])
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn place(&mut self, channel: &str, epoch: &str, offset: u64) {
        self.text(channel);
        self.text(epoch);
        self.number(offset);
    }

    fn req(&mut self, req: Option<&str>) {
        self.number(req.and_then(|req| req.parse().ok()).unwrap_or(0));
    }

    fn close(mut self) -> Bytes {
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX).to_le_bytes();
        for (to, from) in self.0.iter_mut().zip(len) {
            *to = from;
        }
        self.0.into()
    }
}

impl Wire for SimWire {
    fn slot(&self) -> usize {
        0
    }

    fn message(&self, message: &Message) -> Box<[u8]> {
        let mut out = Out::new(0);
        out.number(serial_of(&message.data));
        out.place(message.channel.name(), &message.epoch, message.offset);
        out.number(message.roll_ups.len() as u64);
        for mark in &message.roll_ups {
            out.place(mark.channel.name(), &mark.epoch, mark.offset);
        }
        out.0.extend_from_slice(&message.data);
        Box::from(&*out.close())
    }

    fn reply(&self, reply: &Reply) -> Bytes {
        match reply {
            Reply::Confirmed(confirmation) => {
                let mut out = Out::new(1);
                out.text(confirmation.topic.name());
                out.req(confirmation.req.as_deref());
                out.number(confirmation.recovered.map_or(2, u64::from));
                if let Some((top, epoch)) = &confirmation.head {
                    out.place(confirmation.topic.name(), epoch, *top);
                }
                out.close()
            }
            Reply::Gap { channel, from, to, reason } => {
                let mut out = Out::new(3);
                out.text(channel.name());
                out.number(*from);
                out.number(to.unwrap_or(0));
                out.text(reason.name());
                out.close()
            }
            Reply::Conflated { count, .. } => {
                let mut out = Out::new(4);
                out.number(*count);
                out.close()
            }
            _ => Out::new(7).close(),
        }
    }

    fn ping(&self) -> Bytes {
        Bytes::new()
    }

    fn close(&self, _code: CloseCode, _reason: &str) -> Bytes {
        Out::new(8).close()
    }
}

/// The number that the simulator gave a message; its data is `[7,"…"]`, a table's has it in its `meta`.
pub(super) fn serial_of(data: &[u8]) -> u64 {
    const META: &[u8] = b"\"meta\":{\"serial\":";
    let meta = data.windows(META.len()).position(|window| window == META);
    let digits =
        data.iter().skip(meta.map_or(1, |at| at + META.len())).take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let len = usize::try_from(self.number()?).ok()?;
        String::from_utf8(self.take(len)?.to_vec()).ok()
    }

    fn place(&mut self) -> Option<Place> {
        let channel = self.text()?;
        let epoch = self.text()?.as_str().into();
        Some(Place { channel, epoch, offset: self.number()? })
    }
}

/// Takes the first whole frame of a byte stream; `Err` if the bytes are no frame.
pub(super) fn take_frame(stream: &mut Vec<u8>) -> Result<Option<Frame>, String> {
    let Some(len) = stream.get(..4).and_then(|head| head.try_into().ok()).map(u32::from_le_bytes) else {
        return Ok(None);
    };
    let len = len as usize;
    if stream.len() < len {
        return Ok(None);
    }
    let bytes: Vec<u8> = stream.drain(..len).collect();
    match decode(bytes.get(4..).unwrap_or_default()) {
        Some(frame) => Ok(Some(frame)),
        None => Err(format!("{len} bytes that are no frame")),
    }
}

fn decode(bytes: &[u8]) -> Option<Frame> {
    let mut bytes = In(bytes);
    Some(match bytes.take(1)?.first()? {
        0 => {
            let serial = bytes.number()?;
            let own = bytes.place()?;
            let count = bytes.number()?;
            let roll_ups = (0..count).map(|_| bytes.place()).collect::<Option<_>>()?;
            if serial_of(bytes.0) != serial {
                return None;
            }
            Frame::Message { serial, own, roll_ups, said: Said::of(bytes.0) }
        }
        1 => {
            let topic = bytes.text()?;
            let req = bytes.number()?;
            let recovered = match bytes.number()? {
                2 => None,
                other => Some(other == 1),
            };
            Frame::Confirmed { topic, head: bytes.place(), recovered, req }
        }
        3 => {
            let channel = bytes.text()?;
            let (from, to) = (bytes.number()?, Some(bytes.number()?).filter(|to| *to > 0));
            let reason = match bytes.text()?.as_str() {
                "trimmed" => GapReason::Trimmed,
                "epoch" => GapReason::Epoch,
                "overflow" => GapReason::Overflow,
                _ => GapReason::Broker,
            };
            Frame::Gap { channel, from, to, reason }
        }
        4 => Frame::Conflated { count: bytes.number()? },
        7 => Frame::Other,
        8 => Frame::Close,
        _ => return None,
    })
}
