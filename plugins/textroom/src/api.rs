//! Requests as tables of fields, and bodies checked against them, with this plugin's codes.

use crate::error::Code;
use bifrons_core::plugin::request;

pub(crate) use request::{ARRAY, FLAG, ROOM, TEXT, UINT, Want, may, must};

/// A body, refused with 413 for what is missing and 414 for what has another type.
pub(crate) type Body<'a> = request::Body<'a, Code>;
