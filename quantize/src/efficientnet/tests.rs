use super::*;

#[test]
fn each_of_a_thousand_classes_has_a_name_of_its_own() {
    let mut names: Vec<&str> = LABELS.lines().collect();
    assert_eq!((names.len(), names[0], names[281], names[999]), (1000, "tench", "tabby", "toilet tissue"));
    assert!(names.iter().all(|name| *name == name.trim() && !name.is_empty() && !name.contains(char::is_control)));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 1000);
}
