//! One's own house: areas, floors and what is in them, as a YAML file.

use std::sync::Arc;

use super::tree::Tree;
use crate::error::{Error, Fault};
use crate::source::Source;
use crate::yaml;

/// The most areas, floors and entities together.
const MAX_PLACES: usize = 16_384;

/// Areas, floors and entities with the names that people call them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct House {
    /// Rooms and other places.
    pub areas: Vec<Place>,
    /// Floors.
    pub floors: Vec<Place>,
    /// Devices and whatever else is switched, set or asked for.
    pub entities: Vec<Entity>,
}

/// An area or a floor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its name, which answers give.
    pub name: String,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// Its id, if it has one.
    pub id: Option<String>,
    /// The floor of an area, by id or name.
    pub floor: Option<String>,
}

/// Something in the house.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entity {
    /// Its name, which answers give.
    pub name: String,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// Its id: `light.kitchen_ceiling`.
    pub id: Option<String>,
    /// What it is: `light`; if not said, what its id begins with.
    pub domain: Option<String>,
    /// Where it is, by id or name of an area.
    pub area: Option<String>,
    /// What kind of its domain it is: `window`.
    pub device_class: Option<String>,
    /// Whether voice may reach it; what is not exposed is left out.
    pub exposed: bool,
}

impl Entity {
    /// What it is, as said or as its id begins.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref().or_else(|| self.id.as_deref().and_then(|id| id.split_once('.')).map(|(domain, _)| domain))
    }
}

impl House {
    /// Reads a house file; keys that matter to others than voice, such as states, are passed over.
    ///
    /// # Errors
    /// The first fault, with line and column.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let source = Source { name, text };
        let file: Arc<str> = name.into();
        let mut house = Self::default();
        for node in &yaml::read_all(&source)? {
            let root = Tree { node, source: &source, file: &file };
            for (key, value) in root.entries()? {
                match key.text.as_str() {
                    "areas" => house.areas.extend(places(value)?),
                    "floors" => house.floors.extend(places(value)?),
                    "entities" => house.entities.extend(entities(value)?),
                    "language" => {}
                    other => {
                        let found = format!("unknown key {}", yaml::quoted(other));
                        return Err(source.error(key.mark, Fault::UnknownKey, found, "one of areas, floors, entities"));
                    }
                }
            }
            let places = house.areas.len() + house.floors.len() + house.entities.len();
            if places > MAX_PLACES {
                return Err(root.error(Fault::TooLarge, format!("{places} areas, floors and entities"), format!("at most {MAX_PLACES}")));
            }
        }
        Ok(house)
    }
}

fn list(node: Tree<'_>) -> Result<Vec<Tree<'_>>, Error> {
    if node.is_empty() { Ok(Vec::new()) } else { node.items() }
}

fn optional(node: Tree<'_>, key: &str) -> Result<Option<String>, Error> {
    node.get(key).filter(|value| !value.is_empty()).map(|value| value.text().map(str::to_owned)).transpose()
}

fn name(node: Tree<'_>) -> Result<String, Error> {
    let name = node.get("name").ok_or_else(|| node.wrong("name: is missing here"))?;
    Ok(name.located()?.text.trim().to_owned())
}

fn aliases(node: Tree<'_>) -> Result<Vec<String>, Error> {
    let aliases = node.get("aliases").filter(|value| !value.is_empty()).map(|value| value.texts()).transpose()?.unwrap_or_default();
    Ok(aliases.into_iter().map(|alias| alias.trim().to_owned()).filter(|alias| !alias.is_empty()).collect())
}

fn places(node: Tree<'_>) -> Result<Vec<Place>, Error> {
    let place = |node: Tree<'_>| -> Result<Place, Error> {
        if let Ok(name) = node.text() {
            return Ok(Place { name: name.trim().to_owned(), ..Place::default() });
        }
        Ok(Place { name: name(node)?, aliases: aliases(node)?, id: optional(node, "id")?, floor: optional(node, "floor")? })
    };
    list(node)?.into_iter().map(place).collect()
}

fn entities(node: Tree<'_>) -> Result<Vec<Entity>, Error> {
    let entity = |node: Tree<'_>| -> Result<Entity, Error> {
        let flag = |key: &str| node.get(key).map(Tree::flag).transpose();
        let class = match node.get("attributes").filter(|node| !node.is_empty()) {
            Some(attributes) => optional(attributes, "device_class")?,
            None => None,
        };
        Ok(Entity {
            name: name(node)?,
            aliases: aliases(node)?,
            id: optional(node, "id")?,
            domain: optional(node, "domain")?,
            area: optional(node, "area")?,
            device_class: optional(node, "device_class")?.or(class),
            exposed: flag("exposed")?.or(flag("is_exposed")?).unwrap_or(true),
        })
    };
    list(node)?.into_iter().map(entity).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_house_has_places_and_things() {
        let file = "areas:\n  - Attic\n  - {name: Kitchen, id: k, floor: ground, aliases: [galley]}\nfloors: [{name: Ground}]\nentities:\n  \
                    - {name: Lamp, id: light.lamp, area: k, state: 'on', attributes: {device_class: bulb}}\n  \
                    - {name: Door, domain: lock, exposed: false}\n";
        let house = House::parse("home.yaml", file).unwrap();
        assert_eq!(house.areas[1].aliases, ["galley"]);
        assert_eq!(house.floors.len(), 1);
        assert_eq!((house.entities[0].domain(), house.entities[0].device_class.as_deref()), (Some("light"), Some("bulb")));
        assert_eq!((house.entities[1].domain(), house.entities[1].exposed), (Some("lock"), false));
        let error = House::parse("home.yaml", "rooms: []\n").unwrap_err().to_string();
        assert_eq!(error, "home.yaml:1:1: unknown key \"rooms\": one of areas, floors, entities");
        assert!(House::parse("home.yaml", "areas: [{id: x}]\n").unwrap_err().to_string().contains("name: is missing"));
    }
}
