//! Home Assistant's registries: what there is, where it is, what it is called and whether voice may reach it.

use std::collections::HashMap;
use std::path::Path;

use ossicle_sentences::hass::{Entity, House, Place};
use serde_json::Value;

use crate::fault::Fault;
use crate::input;

/// The most bytes of one registry.
const MAX_BYTES: usize = 64 << 20;

/// Domains that Home Assistant exposes to voice unless it is told otherwise, as of 2026.
const EXPOSED_DOMAINS: [&str; 11] =
    ["climate", "cover", "fan", "humidifier", "light", "media_player", "scene", "switch", "todo", "vacuum", "water_heater"];
/// And of sensors, these kinds.
const EXPOSED_BINARY_SENSORS: [&str; 7] = ["door", "garage_door", "lock", "motion", "opening", "presence", "window"];
const EXPOSED_SENSORS: [&str; 8] =
    ["aqi", "carbon_dioxide", "carbon_monoxide", "humidity", "pm10", "pm25", "temperature", "volatile_organic_compounds"];

/// Reads the registries in the folder's `.storage`.
pub(super) fn read(folder: &Path) -> Result<House, Fault> {
    let storage = Storage { folder };
    let areas = storage.registry("core.area_registry", "areas", true)?;
    let floors = storage.registry("core.floor_registry", "floors", false)?;
    let devices = storage.registry("core.device_registry", "devices", false)?;
    let entities = storage.registry("core.entity_registry", "entities", true)?;
    let devices: HashMap<&str, &Value> = devices.iter().filter_map(|device| Some((text(device, "id")?, device))).collect();
    let new_exposed = storage.exposes_new()?;
    let place = |value: &Value, id: &str| {
        let (id, floor) = (text(value, id).map(str::to_owned), text(value, "floor_id").map(str::to_owned));
        Some(Place { name: text(value, "name")?.to_owned(), aliases: texts(value, "aliases"), id, floor })
    };
    Ok(House {
        areas: areas.iter().filter_map(|area| place(area, "id")).collect(),
        floors: floors.iter().filter_map(|floor| place(floor, "floor_id")).collect(),
        entities: entities.iter().filter_map(|entry| entity(entry, &devices, new_exposed)).collect(),
    })
}

fn entity(entry: &Value, devices: &HashMap<&str, &Value>, new_exposed: bool) -> Option<Entity> {
    if text(entry, "disabled_by").is_some() {
        return None;
    }
    let id = text(entry, "entity_id")?;
    let domain = id.split('.').next()?;
    let device = text(entry, "device_id").and_then(|id| devices.get(id)).copied();
    let device_class = text(entry, "device_class").or_else(|| text(entry, "original_device_class"));
    let area = text(entry, "area_id").or_else(|| device.and_then(|device| text(device, "area_id")));
    let chosen = entry["options"]["conversation"]["should_expose"].as_bool();
    let class = |known: &[&str]| device_class.is_some_and(|class| known.contains(&class));
    let by_default = EXPOSED_DOMAINS.contains(&domain)
        || domain == "binary_sensor" && class(&EXPOSED_BINARY_SENSORS)
        || domain == "sensor" && class(&EXPOSED_SENSORS);
    let plain = text(entry, "entity_category").is_none() && text(entry, "hidden_by").is_none();
    Some(Entity {
        name: name(entry, device, id),
        aliases: texts(entry, "aliases"),
        id: Some(id.to_owned()),
        domain: Some(domain.to_owned()),
        area: area.map(str::to_owned),
        device_class: device_class.map(str::to_owned),
        exposed: chosen.unwrap_or(new_exposed && by_default && plain),
    })
}

/// What Home Assistant shows: the name that its owner gave; else that of the device, or of the entity, or both.
fn name(entry: &Value, device: Option<&Value>, id: &str) -> String {
    if let Some(given) = text(entry, "name") {
        return given.to_owned();
    }
    let own = text(entry, "original_name");
    let device = device.and_then(|device| text(device, "name_by_user").or_else(|| text(device, "name")));
    match (device.filter(|_| entry["has_entity_name"].as_bool() == Some(true)), own) {
        (Some(device), Some(own)) => format!("{device} {own}"),
        (Some(device), None) => device.to_owned(),
        (None, Some(own)) => own.to_owned(),
        (None, None) => id.split('.').nth(1).unwrap_or(id).replace('_', " "),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value[key].as_str().map(str::trim).filter(|text| !text.is_empty())
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    let all = value[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    all.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

struct Storage<'a> {
    folder: &'a Path,
}

impl Storage<'_> {
    fn read(&self, name: &str, needed: bool) -> Result<Option<Value>, Fault> {
        let path = self.folder.join(".storage").join(name);
        let remedy = "give Home Assistant's configuration folder, the one with .storage in it";
        if !path.exists() && !needed {
            return Ok(None);
        }
        let text = input::text(&path, MAX_BYTES).map_err(|error| Fault::new(error, path.display(), remedy))?;
        serde_json::from_str(&text).map(Some).map_err(|error| Fault::new(format!("not JSON: {error}"), path.display(), remedy))
    }

    /// The entries of a registry.
    fn registry(&self, name: &str, key: &str, needed: bool) -> Result<Vec<Value>, Fault> {
        let Some(mut whole) = self.read(name, needed)? else { return Ok(Vec::new()) };
        match whole["data"][key].take() {
            Value::Array(entries) => Ok(entries),
            _ => {
                let path = self.folder.join(".storage").join(name);
                Err(Fault::new(format!("no data: {key}: in it"), path.display(), "give a registry that Home Assistant wrote"))
            }
        }
    }

    /// Whether voice may reach what nobody has decided about.
    fn exposes_new(&self) -> Result<bool, Fault> {
        let whole = self.read("homeassistant.exposed_entities", false)?.unwrap_or_default();
        Ok(whole["data"]["assistants"]["conversation"]["expose_new"].as_bool().unwrap_or(true))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_those_that_home_assistant_shows() {
        let device = json!({"name": "Lamp", "name_by_user": "Reading lamp"});
        for (entry, shown) in [
            (json!({"name": "Mine", "original_name": "Power", "has_entity_name": true}), "Mine"),
            (json!({"original_name": "Power", "has_entity_name": true}), "Reading lamp Power"),
            (json!({"original_name": null, "has_entity_name": true}), "Reading lamp"),
            (json!({"original_name": "Power", "has_entity_name": false}), "Power"),
            (json!({}), "hall switch"),
        ] {
            assert_eq!(name(&entry, Some(&device), "switch.hall_switch"), shown);
        }
    }

    #[test]
    fn what_is_not_meant_for_voice_is_not_exposed() {
        let devices = HashMap::new();
        for (entry, new, exposed) in [
            (json!({"entity_id": "light.a"}), true, Some(true)),
            (json!({"entity_id": "light.a"}), false, Some(false)),
            (json!({"entity_id": "light.a", "options": {"conversation": {"should_expose": false}}}), true, Some(false)),
            (json!({"entity_id": "lock.a", "options": {"conversation": {"should_expose": true}}}), false, Some(true)),
            (json!({"entity_id": "lock.a"}), true, Some(false)),
            (json!({"entity_id": "script.a"}), true, Some(false)),
            (json!({"entity_id": "todo.a"}), true, Some(true)),
            (json!({"entity_id": "sensor.a", "device_class": "carbon_dioxide"}), true, Some(true)),
            (json!({"entity_id": "sensor.a", "device_class": "power"}), true, Some(false)),
            (json!({"entity_id": "switch.a", "entity_category": "config"}), true, Some(false)),
            (json!({"entity_id": "sensor.a", "original_device_class": "temperature"}), true, Some(true)),
            (json!({"entity_id": "light.a", "disabled_by": "user"}), true, None),
        ] {
            assert_eq!(entity(&entry, &devices, new).map(|entity| entity.exposed), exposed, "{entry}");
        }
    }
}
