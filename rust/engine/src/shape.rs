//! A look at a component's outline before anything is compiled. The parsers and the compiler behind
//! it recurse, and copy: a few hundred bytes of nesting would use up the stack or all memory.
//!
//! Goes through the sections once, without recursion, and without reading the types.

use wasmparser::{ComponentInstance, Parser, Payload};
use ww_fence::{ErrorKind, Failure};

/// Components and modules within one another.
const MAX_NESTING: usize = 16;

/// Of one section of types, whose nesting only its size bounds.
const MAX_TYPES_BYTES: usize = 128 << 10;

/// Components that there would be in all, each instantiation of a nested one counted with all that
/// it instantiates in its turn.
const MAX_INSTANTIATIONS: u64 = 10_000;

/// The stack of the thread that compiles: enough for types as deep as MAX_TYPES_BYTES can say. It
/// is taken as it is used.
pub const COMPILE_STACK: usize = 256 << 20;

fn refuse(text: String) -> Failure {
    Failure::new(ErrorKind::NotComponent, text)
}

fn check_types(bytes: usize) -> Result<(), Failure> {
    if bytes > MAX_TYPES_BYTES {
        return Err(refuse(format!("types of {bytes} bytes; the limit is {MAX_TYPES_BYTES}")));
    }
    Ok(())
}

/// How often components are instantiated, from above: whatever a component instantiates may be the
/// largest one that stands before it.
struct Count {
    open: Vec<u64>, // of the components around
    largest: u64,   // of those that are complete
}

impl Count {
    fn add(&mut self, instantiations: u64) -> Result<(), Failure> {
        let Some(here) = self.open.last_mut() else { return Ok(()) };
        *here = here.saturating_add(instantiations.saturating_mul(self.largest.max(1)));
        if *here > MAX_INSTANTIATIONS {
            return Err(refuse(format!("more than {MAX_INSTANTIATIONS} instances in all")));
        }
        Ok(())
    }

    fn close(&mut self) {
        self.largest = self.largest.max(self.open.pop().unwrap_or(0));
    }
}

/// What is malformed is left to the parser that reads all of it.
pub fn check(bytes: &[u8]) -> Result<(), Failure> {
    let mut count = Count { open: vec![1], largest: 0 };
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else { return Ok(()) };
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                if count.open.len() >= MAX_NESTING {
                    return Err(refuse(format!("components nested deeper than {MAX_NESTING}")));
                }
                count.open.push(1);
            }
            Payload::End(_) => count.close(),
            Payload::ComponentTypeSection(types) => check_types(types.range().len())?,
            Payload::CoreTypeSection(types) => check_types(types.range().len())?,
            Payload::ComponentInstanceSection(instances) => {
                let made = instances
                    .into_iter()
                    .filter(|i| matches!(i, Ok(ComponentInstance::Instantiate { .. })));
                count.add(made.count() as u64)?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

    fn leb(mut n: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
        out
    }

    fn with_section(mut component: Vec<u8>, id: u8, body: &[u8]) -> Vec<u8> {
        component.push(id);
        component.extend(leb(body.len()));
        component.extend(body);
        component
    }

    fn reason(bytes: &[u8]) -> String {
        check(bytes).err().map(|failure| failure.text).unwrap_or_default()
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| {
            (0..depth)
                .fold(COMPONENT.to_vec(), |inner, _| with_section(COMPONENT.to_vec(), 4, &inner))
        };
        assert_eq!(reason(&nested(MAX_NESTING - 1)), "");
        assert!(reason(&nested(MAX_NESTING)).contains("nested deeper than 16"));
        assert!(reason(&nested(5_000)).contains("nested deeper than 16"));
    }

    #[test]
    fn types_are_bounded() {
        let deep = |depth: usize| {
            let mut body = vec![1];
            body.extend([0x41, 1, 1].repeat(depth));
            body.extend([0x41, 0]);
            with_section(COMPONENT.to_vec(), 7, &body)
        };
        assert_eq!(reason(&deep(5_000)), "");
        assert!(reason(&deep(1_000_000)).contains("types of 3000003 bytes"));
    }

    #[test]
    fn instances_are_counted_through_the_levels() {
        // Each level instantiates the one within it twice.
        let doubled = |levels| {
            (0..levels).fold(COMPONENT.to_vec(), |inner, _| {
                let outer = with_section(COMPONENT.to_vec(), 4, &inner);
                with_section(outer, 5, &[2, 0, 0, 0, 0, 0, 0])
            })
        };
        assert_eq!(reason(&doubled(8)), "");
        assert!(reason(&doubled(15)).contains("more than 10000 instances"));
    }
}
