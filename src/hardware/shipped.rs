//! The files that ship with the program, and where others are found.

use std::borrow::Cow;
use std::path::Path;

use crate::error::{Error, Result};
use crate::files::read_text;

/// Shipped files of one kind, by name.
pub struct Shipped {
    kind: &'static str,
    files: &'static [(&'static str, &'static str)],
}

macro_rules! shipped {
    ($kind:literal, $folder:literal: $($name:literal)*) => {
        Shipped {
            kind: $kind,
            files: &[$(($name, include_str!(concat!("../../hw_models/", $folder, $name, ".toml")))),*],
        }
    };
}

/// Hardware models.
pub const MODELS: Shipped = shipped!("hardware model", "":
    "lanes_act_16x16"
    "lanes_scaled_16x16"
    "lanes_both_16x16"
    "systolic_ws_16x16"
    "systolic_os_16x16"
    "systolic_is_16x16"
    "systolic_ws_32x32"
    "zynq7020"
);

/// Energy tables.
pub const ENERGY_TABLES: Shipped = shipped!("energy table", "energy/":
    "horowitz_45nm"
    "bitfusion_45nm"
    "aladdin_40nm"
    "fpga_uncalibrated"
);

impl Shipped {
    /// Names, in the order in which they are listed.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.files.iter().map(|(name, _)| *name)
    }

    /// The name in messages and the text of a shipped file, or of the file at a path, which ends
    /// in `.toml` or has a folder; a relative one starts at `folder`.
    pub fn text(&self, name_or_path: &str, folder: &Path) -> Result<(String, Cow<'static, str>)> {
        if let Some((name, text)) = self.files.iter().find(|(name, _)| *name == name_or_path) {
            return Ok((format!("{} {name}", self.kind), Cow::Borrowed(text)));
        }
        let path = Path::new(name_or_path);
        let is_path = path.extension().is_some_and(|e| e == "toml")
            || name_or_path.contains(std::path::is_separator);
        if !is_path {
            let names: Vec<_> = self.names().collect();
            return Err(Error::new(
                format_args!("`{name_or_path}`"),
                format_args!("no {} of this name ships", self.kind),
            )
            .remedy(format_args!("use {}, or the path of a .toml file", names.join(", "))));
        }
        let path = folder.join(path);
        Ok((path.display().to_string(), Cow::Owned(read_text(&path)?)))
    }
}
