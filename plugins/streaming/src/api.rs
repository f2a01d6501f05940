//! Requests as tables of fields, and bodies checked against them, with this plugin's codes.

use crate::error::Code;
use bifrons_core::plugin::request;

pub(crate) use request::{ARRAY, FLAG, Field, INT, TEXT, UINT, Want, is_same, may, must};

/// A body, refused with 453 for what is missing and 454 for what has another type.
pub(crate) type Body<'a> = request::Body<'a, Code>;
