//! The file `meta`: what the directory is, and how it was used last. A few lines of text, replaced as a whole.

use std::io::{self, Read};

use super::disk::Disk;
use super::{Durability, EmbeddedError};

/// The number of the format that this version writes. It reads 1 as well, which knows no owners of channels.
pub(super) const FORMAT: u64 = 2;

const READABLE: [&str; 2] = ["1", "2"];

const NAME: &str = "meta";
const NEXT: &str = "meta.tmp";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    /// The machine's boot during which it was opened last.
    pub(super) boot: String,
    /// When what is written is made to last.
    pub(super) durability: Durability,
    /// Whether it was closed.
    pub(super) clean: bool,
    /// Whether every channel begins a new epoch at the next start.
    pub(super) anew: bool,
}

impl Meta {
    /// As it is in the directory; `None` in a new one.
    pub(super) fn read(disk: &dyn Disk) -> Result<Option<Self>, EmbeddedError> {
        let mut text = String::new();
        match disk.read(NAME).and_then(|mut file| file.read_to_string(&mut text)) {
            Ok(_) => Self::parse(&text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(EmbeddedError::io(NAME, error)),
        }
    }

    fn parse(text: &str) -> Result<Self, EmbeddedError> {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
            line.ok_or_else(|| EmbeddedError::Meta(format!("it has no line {key}")))
        };
        let format = value("format")?;
        if !READABLE.contains(&format) {
            return Err(EmbeddedError::Format(format.to_string()));
        }
        let durability = value("durability")?;
        Ok(Meta {
            boot: value("boot")?.to_string(),
            durability: durability.parse().map_err(EmbeddedError::Meta)?,
            clean: value("clean")? == "yes",
            anew: value("anew")? == "yes",
        })
    }

    /// Puts it in place of what is there, for good.
    pub(super) fn write(&self, disk: &dyn Disk) -> io::Result<()> {
        let yes = |flag: bool| if flag { "yes" } else { "no" };
        let text = format!(
            "format {FORMAT}\nboot {}\ndurability {}\nclean {}\nanew {}\n",
            self.boot,
            self.durability,
            yes(self.clean),
            yes(self.anew)
        );
        let file = disk.create(NEXT)?;
        file.append(text.as_bytes())?;
        file.sync()?;
        disk.rename(NEXT, NAME)?;
        disk.sync()
    }
}
