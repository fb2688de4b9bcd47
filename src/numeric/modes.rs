//! The rounding and overflow modes and their names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Defines a mode with its names: ours, which is printed, and where there is one that of
/// `ap_fixed`, which is read as well.
macro_rules! modes {
    ($(#[$doc:meta])* $mode:ident, $what:literal: $($(#[$variant_doc:meta])*
        $variant:ident = $name:literal $(or $ap_fixed:literal)?),* $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub enum $mode {
            $($(#[$variant_doc])* $variant),*
        }

        impl $mode {
            /// Every mode.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name, as plans and hardware models write it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),*
                }
            }
        }

        impl fmt::Display for $mode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl FromStr for $mode {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                match text {
                    $($name $(| $ap_fixed)? => Ok(Self::$variant),)*
                    _ => {
                        let names: Vec<_> = Self::ALL.iter().map(|mode| mode.name()).collect();
                        Err(Error::new(format_args!("{} `{text}`", $what), "there is no such mode")
                            .remedy(format_args!(
                                "write one of {}, or the name that ap_fixed has for it",
                                names.join(", ")
                            )))
                    }
                }
            }
        }

        impl From<$mode> for String {
            fn from(mode: $mode) -> Self {
                mode.name().to_owned()
            }
        }

        impl TryFrom<String> for $mode {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }
    };
}

modes! {
    /// What happens to bits that are dropped on the right.
    Rounding, "rounding":
    /// Towards minus infinity (`AP_TRN`).
    Floor = "floor" or "AP_TRN",
    /// Towards zero (`AP_TRN_ZERO`).
    TowardZero = "toward_zero" or "AP_TRN_ZERO",
    /// To nearest, ties towards plus infinity (`AP_RND`).
    HalfUp = "half_up" or "AP_RND",
    /// To nearest, ties towards zero (`AP_RND_ZERO`).
    HalfTowardZero = "half_toward_zero" or "AP_RND_ZERO",
    /// To nearest, ties away from zero (`AP_RND_INF`).
    HalfAway = "half_away" or "AP_RND_INF",
    /// To nearest, ties towards minus infinity (`AP_RND_MIN_INF`).
    HalfDown = "half_down" or "AP_RND_MIN_INF",
    /// To nearest, ties to the even word (`AP_RND_CONV`).
    HalfEven = "half_even" or "AP_RND_CONV",
    /// Up with a probability equal to the dropped fraction.
    Stochastic = "stochastic",
}

modes! {
    /// What happens to a word that is out of range after rounding.
    Overflow, "overflow":
    /// Keep the low bits (`AP_WRAP`).
    Wrap = "wrap" or "AP_WRAP",
    /// The nearest word in range (`AP_SAT`).
    Saturate = "saturate" or "AP_SAT",
    /// Zero (`AP_SAT_ZERO`).
    SaturateZero = "saturate_zero" or "AP_SAT_ZERO",
    /// The nearest word of a range symmetric about zero (`AP_SAT_SYM`).
    SaturateSymmetric = "saturate_symmetric" or "AP_SAT_SYM",
    /// Keep the low bits, all inverted if the sign would differ from the lowest deleted bit
    /// (`AP_WRAP_SM`).
    WrapSignMagnitude = "wrap_sign_magnitude" or "AP_WRAP_SM",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for &mode in Rounding::ALL {
            assert_eq!(mode.to_string().parse::<Rounding>().unwrap(), mode);
        }
        for &mode in Overflow::ALL {
            assert_eq!(mode.to_string().parse::<Overflow>().unwrap(), mode);
        }
    }

    #[test]
    fn ap_fixed_names_are_read() {
        let rounding = [
            ("AP_TRN", "floor"),
            ("AP_TRN_ZERO", "toward_zero"),
            ("AP_RND", "half_up"),
            ("AP_RND_ZERO", "half_toward_zero"),
            ("AP_RND_INF", "half_away"),
            ("AP_RND_MIN_INF", "half_down"),
            ("AP_RND_CONV", "half_even"),
        ];
        for (ap_fixed, name) in rounding {
            assert_eq!(ap_fixed.parse::<Rounding>().unwrap().name(), name);
        }
        let overflow = [
            ("AP_WRAP", "wrap"),
            ("AP_SAT", "saturate"),
            ("AP_SAT_ZERO", "saturate_zero"),
            ("AP_SAT_SYM", "saturate_symmetric"),
            ("AP_WRAP_SM", "wrap_sign_magnitude"),
        ];
        for (ap_fixed, name) in overflow {
            assert_eq!(ap_fixed.parse::<Overflow>().unwrap().name(), name);
        }
    }

    #[test]
    fn an_unknown_name_is_told_the_names() {
        let error = format!("{:?}", "nearest".parse::<Rounding>().unwrap_err());
        assert!(error.starts_with("rounding `nearest`") && error.contains("half_even"), "{error}");
        assert!("".parse::<Overflow>().is_err());
        assert!(serde_json::from_str::<Overflow>("\"Wrap\"").is_err());
        assert_eq!(serde_json::to_string(&Overflow::SaturateZero).unwrap(), "\"saturate_zero\"");
    }
}
