//! A look at a component's outline before anything is compiled. The parsers and the compiler behind
//! it recurse, and copy: a few hundred bytes of nesting would use up the stack or all memory.
//!
//! Goes through the sections once, without recursion, and without reading the types.
//!
//! And a look at what its instances take when they are made: all of them in one turn of the loop,
//! in memory that is none of the guest's own.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, ElementItems, ElementSectionReader, Instance, Parser, Payload,
};
use ww_fence::{ErrorKind, Failure};

/// Components and modules within one another.
const MAX_NESTING: usize = 16;

/// Of one section of types, whose nesting only its size bounds.
const MAX_TYPES_BYTES: usize = 128 << 10;

/// Components that there would be in all, each instantiation of a nested one counted with all that
/// it instantiates in its turn.
const MAX_INSTANTIATIONS: u64 = 10_000;

/// Modules, and components, that one component can name.
const MAX_NAMED: usize = 10_000;

/// What all of a component's instances may take beside their memories and tables: its globals and
/// so on, which are written in some 20 ms.
pub const MAX_FOOTPRINT: u64 = 16 << 20;

/// Data that is copied at the start, by all instances. What stands in the component once may be
/// copied once.
const MAX_DATA: u64 = 64 << 20;

/// Bytes that an instance has for each of these, used or not. An element has fewer, and takes as
/// long to make.
const GLOBAL_BYTES: u64 = 16;
const FUNCTION_BYTES: u64 = 32;
const IMPORT_BYTES: u64 = 40;
const ELEMENT_BYTES: u64 = 32;
const SEGMENT_BYTES: u64 = 64;

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

/// What instantiating something comes to, with all that it instantiates in its turn.
#[derive(Clone, Copy, Default)]
struct Weight {
    components: u64,
    footprint: u64, // bytes
    data: u64,      // likewise
}

impl Weight {
    fn add(&mut self, other: Weight) {
        self.components = self.components.saturating_add(other.components);
        self.footprint = self.footprint.saturating_add(other.footprint);
        self.data = self.data.saturating_add(other.data);
    }

    fn add_footprint(&mut self, count: u64, bytes: u64) {
        self.footprint = self.footprint.saturating_add(count.saturating_mul(bytes));
    }

    fn largest(self, other: Weight) -> Weight {
        Weight {
            components: self.components.max(other.components),
            footprint: self.footprint.max(other.footprint),
            data: self.data.max(other.data),
        }
    }
}

/// Something that is not read to its end yet.
#[derive(Default)]
struct Open {
    is_module: bool,
    own: Weight,
    modules: Vec<Weight>, // that it can instantiate, by number
    components: Vec<Weight>,
}

/// All that is open, the outermost first. What an instance gives out is not looked for: it may be
/// the largest that was read before.
struct Weighing {
    open: Vec<Open>,
    module: Weight,
    component: Weight,
}

type List = fn(&mut Open) -> &mut Vec<Weight>;

const MODULES: List = |open| &mut open.modules;
const COMPONENTS: List = |open| &mut open.components;

impl Weighing {
    fn new() -> Self {
        let (module, component) =
            (Weight::default(), Weight { components: 1, ..Weight::default() });
        let root = Open { own: component, ..Open::default() };
        Weighing { open: vec![root], module, component }
    }

    fn begin(&mut self, is_module: bool) -> Result<(), Failure> {
        if self.open.len() >= MAX_NESTING {
            return Err(refuse(format!("components nested deeper than {MAX_NESTING}")));
        }
        let own = Weight { components: 1, ..Weight::default() };
        self.open.push(Open { is_module, own, ..Open::default() });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        // The last is the root: it is kept, for what it comes to.
        if self.open.len() < 2 {
            return Ok(());
        }
        let Some(Open { is_module, own, .. }) = self.open.pop() else { return Ok(()) };
        if is_module {
            self.module = self.module.largest(own);
            self.name(MODULES, own)
        } else {
            self.component = self.component.largest(own);
            self.name(COMPONENTS, own)
        }
    }

    fn here(&mut self) -> Option<&mut Open> {
        self.open.last_mut()
    }

    fn own(&mut self, change: impl FnOnce(&mut Weight)) {
        if let Some(open) = self.here() {
            change(&mut open.own);
        }
    }

    fn name(&mut self, list: List, weight: Weight) -> Result<(), Failure> {
        let Some(open) = self.here() else { return Ok(()) };
        if list(open).len() >= MAX_NAMED {
            return Err(refuse(format!("more than {MAX_NAMED} modules or components in one")));
        }
        list(open).push(weight);
        Ok(())
    }

    /// One of some component around this, 0 being this.
    fn find(&mut self, list: List, outward: usize, index: u32) -> Option<Weight> {
        let at = self.open.len().checked_sub(1 + outward)?;
        list(self.open.get_mut(at)?).get(index as usize).copied()
    }

    fn add_instance(&mut self, list: List, index: u32) -> Result<(), Failure> {
        // One that is not there is left to who reads all of it.
        let weight = self.find(list, 0, index).unwrap_or_default();
        self.own(|own| own.add(weight));
        let most = self.open.last().map_or(0, |open| open.own.components);
        if most > MAX_INSTANTIATIONS {
            return Err(refuse(format!("more than {MAX_INSTANTIATIONS} instances in all")));
        }
        Ok(())
    }

    fn add_alias(&mut self, alias: ComponentAlias) -> Result<(), Failure> {
        match alias {
            ComponentAlias::InstanceExport { kind, .. } => self.name_unknown(kind),
            ComponentAlias::Outer { kind, count, index } => {
                let list = match kind {
                    ComponentOuterAliasKind::CoreModule => MODULES,
                    ComponentOuterAliasKind::Component => COMPONENTS,
                    _ => return Ok(()),
                };
                let weight = self.find(list, count as usize, index).unwrap_or_default();
                self.name(list, weight)
            }
            ComponentAlias::CoreInstanceExport { .. } => Ok(()),
        }
    }

    fn name_unknown(&mut self, kind: ComponentExternalKind) -> Result<(), Failure> {
        match kind {
            ComponentExternalKind::Module => self.name(MODULES, self.module),
            ComponentExternalKind::Component => self.name(COMPONENTS, self.component),
            _ => Ok(()),
        }
    }

    /// Nothing is known of what a component within another one is given.
    fn add_import(&mut self, ty: ComponentTypeRef) -> Result<(), Failure> {
        let kind = match ty {
            ComponentTypeRef::Module(_) => ComponentExternalKind::Module,
            ComponentTypeRef::Component(_) => ComponentExternalKind::Component,
            _ => return Ok(()),
        };
        if self.open.len() > 1 {
            return Err(refuse("a component within it is given modules or components".into()));
        }
        self.name_unknown(kind)
    }

    fn add_elements(&mut self, elements: ElementSectionReader) {
        for element in elements.into_iter().map_while(Result::ok) {
            let count = match element.items {
                ElementItems::Functions(items) => items.count(),
                ElementItems::Expressions(_, items) => items.count(),
            };
            self.own(|own| {
                own.add_footprint(1, SEGMENT_BYTES);
                own.add_footprint(count.into(), ELEMENT_BYTES);
            });
        }
    }

    /// Of a module. Each instance has all of it.
    fn add_module_part(&mut self, payload: Payload) {
        let (count, bytes) = match payload {
            Payload::ImportSection(part) => (part.count(), IMPORT_BYTES),
            Payload::FunctionSection(part) => (part.count(), FUNCTION_BYTES),
            Payload::GlobalSection(part) => (part.count(), GLOBAL_BYTES),
            Payload::ElementSection(part) => return self.add_elements(part),
            Payload::DataSection(part) => {
                let bytes = part.range().len() as u64;
                self.own(|own| own.data = own.data.saturating_add(bytes));
                (part.count(), SEGMENT_BYTES)
            }
            // What a component makes functions of, for its modules.
            Payload::ComponentCanonicalSection(part) => (part.count(), SEGMENT_BYTES),
            _ => return,
        };
        self.own(|own| own.add_footprint(count.into(), bytes));
    }

    fn read(&mut self, payload: Payload) -> Result<(), Failure> {
        match payload {
            Payload::ModuleSection { .. } => self.begin(true)?,
            Payload::ComponentSection { .. } => self.begin(false)?,
            Payload::End(_) => self.end()?,
            Payload::ComponentTypeSection(types) => check_types(types.range().len())?,
            Payload::CoreTypeSection(types) => check_types(types.range().len())?,
            Payload::InstanceSection(instances) => {
                for instance in instances.into_iter().map_while(Result::ok) {
                    if let Instance::Instantiate { module_index, .. } = instance {
                        self.add_instance(MODULES, module_index)?;
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances.into_iter().map_while(Result::ok) {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance {
                        self.add_instance(COMPONENTS, component_index)?;
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.into_iter().map_while(Result::ok) {
                    self.add_alias(alias)?;
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports.into_iter().map_while(Result::ok) {
                    self.add_import(import.ty)?;
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports.into_iter().map_while(Result::ok) {
                    self.name_unknown(export.kind)?; // it has one more name from here on
                }
            }
            part => self.add_module_part(part),
        }
        Ok(())
    }
}

/// Bytes that the instances of this component take beside their memories and tables, at the most.
/// What is malformed is left to the parser that reads all of it.
pub fn check(bytes: &[u8]) -> Result<u64, Failure> {
    let mut weighing = Weighing::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else { break };
        weighing.read(payload)?;
    }
    let Weight { footprint, data, .. } = weighing.open[0].own;
    let most_data = MAX_DATA.max(bytes.len() as u64);
    for (what, need, most) in [("", footprint, MAX_FOOTPRINT), (" of data", data, most_data)] {
        if need > most {
            return Err(Failure::new(
                ErrorKind::Resources,
                format!(
                    "overloaded: instances: all of them have {need} bytes{what} at their start; \
                     the limit is {most}"
                ),
            ));
        }
    }
    Ok(footprint)
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

    const MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";

    /// So many entries of this kind.
    fn module(id: u8, count: usize, entry: &[u8]) -> Vec<u8> {
        let mut body = leb(count);
        body.extend(entry.repeat(count));
        with_section(MODULE.to_vec(), id, &body)
    }

    fn globals(count: usize) -> Vec<u8> {
        module(6, count, &[0x7e, 1, 0x42, 0, 0x0b])
    }

    /// And so many instances of it.
    fn instances(component: Vec<u8>, module: u8, count: usize) -> Vec<u8> {
        let mut body = leb(count);
        body.extend([0, module, 0].repeat(count));
        with_section(component, 2, &body)
    }

    fn with_instances(module: &[u8], count: usize) -> Vec<u8> {
        instances(with_section(COMPONENT.to_vec(), 1, module), 0, count)
    }

    #[test]
    fn what_all_instances_take_is_bounded() {
        assert_eq!(check(&with_instances(&globals(1000), 10)).ok(), Some(160_000));
        assert_eq!(check(&with_instances(&globals(1000), 0)).ok(), Some(0));
        assert_eq!(reason(&with_instances(&globals(100_000), 10)), "");
        let globals = reason(&with_instances(&globals(100_000), 11));
        assert!(globals.starts_with("overloaded: instances: all of them have 17600000 bytes at"));
        let passive = |items: usize| {
            let mut body = vec![1, 1, 0];
            body.extend(leb(items));
            body.extend([0].repeat(items));
            with_section(MODULE.to_vec(), 9, &body)
        };
        assert_eq!(reason(&with_instances(&passive(50_000), 10)), "");
        assert!(reason(&with_instances(&passive(50_000), 11)).contains("instances"));
        let mut bodies = leb(50_000);
        bodies.extend([2, 0, 0x0b].repeat(50_000));
        let functions = with_section(module(3, 50_000, &[0]), 10, &bodies);
        assert_eq!(reason(&with_instances(&functions, 10)), "");
        assert!(reason(&with_instances(&functions, 11)).contains("instances"));
        let imports = module(2, 40_000, &[0, 0, 0, 0]);
        assert_eq!(reason(&with_instances(&imports, 10)), "");
        assert!(reason(&with_instances(&imports, 11)).contains("instances"));
    }

    #[test]
    fn data_is_copied_once_or_seldom() {
        let data = |bytes: usize| {
            let mut body = vec![1, 0, 0x41, 0, 0x0b];
            body.extend(leb(bytes));
            body.resize(body.len() + bytes, 0);
            with_section(MODULE.to_vec(), 11, &body)
        };
        assert_eq!(reason(&with_instances(&data(100 << 20), 1)), "");
        assert!(reason(&with_instances(&data(100 << 20), 2)).contains("bytes of data"));
        assert_eq!(reason(&with_instances(&data(1 << 20), 60)), "");
        assert!(reason(&with_instances(&data(1 << 20), 70)).contains("bytes of data"));
    }

    #[test]
    fn each_instance_is_weighed_as_what_it_is() {
        // A large module, and a small one many times; then the large one by other names.
        let both = with_section(COMPONENT.to_vec(), 1, &globals(100_000));
        let both = with_section(both, 1, &globals(1));
        let small = instances(instances(both.clone(), 0, 1), 1, 99);
        assert_eq!(check(&small).ok(), Some(1_600_000 + 99 * 16));
        let exported = with_section(both.clone(), 11, &[1, 0, 1, b'a', 0, 0x11, 0, 0]);
        assert!(reason(&instances(exported, 2, 11)).contains("17600000"));
        // Within a component that takes it from around it, which stands there eleven times.
        let alias = with_section(COMPONENT.to_vec(), 6, &[1, 0, 0x11, 2, 1, 0]);
        let around = with_section(both.clone(), 4, &instances(alias, 0, 1));
        let times = |count: usize| {
            let mut body = leb(count);
            body.extend([0, 0, 0].repeat(count));
            with_section(around.clone(), 5, &body)
        };
        assert_eq!(reason(&times(10)), "");
        assert!(reason(&times(11)).contains("17600000"));
        // Of one that is given it nothing is known.
        let given = with_section(COMPONENT.to_vec(), 10, &[1, 0, 1, b'a', 0, 0x11, 0]);
        assert!(reason(&with_section(both, 4, &given)).contains("is given modules"));
    }
}
