//! Parameters from tables of settings.

use super::*;

fn gather(settings: &[(&str, &str)]) -> Result<Parameters, Failure> {
    let get = |name: &str| settings.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    Parameters::gather(&Sources { setting: &get, home: None, user: Some("me".into()) })
}

fn refused(settings: &[(&str, &str)]) -> String {
    match gather(settings) {
        Ok(_) => String::from("accepted"),
        Err(failure) => {
            assert_eq!(failure.status(), Status::Config);
            failure.text().to_owned()
        }
    }
}

fn socket(dir: &str, port: u16) -> Target {
    Target { place: Place::Socket(dir.into()), port }
}

fn host(name: &str, address: Option<&str>, port: u16) -> Target {
    Target { place: Place::Host(name.into(), address.and_then(|a| a.parse().ok())), port }
}

#[test]
fn nothing_set_means_the_usual_sockets_then_localhost() -> Result<(), Failure> {
    let p = gather(&[])?;
    assert_eq!(p.targets, [socket("/var/run/postgresql", 5432), socket("/tmp", 5432), host("localhost", None, 5432)]);
    assert_eq!((p.user.as_str(), p.database.as_str(), p.application.as_str()), ("me", "postgres", "walpipe"));
    Ok(())
}

#[test]
fn lists_of_hosts_addresses_and_ports_go_together() -> Result<(), Failure> {
    let p = gather(&[("PGHOST", "/run,a,b"), ("PGHOSTADDR", ",10.0.0.1,::1"), ("PGPORT", "1,,3")])?;
    assert_eq!(p.targets, [socket("/run", 1), host("a", Some("10.0.0.1"), 5432), host("b", Some("::1"), 3)]);
    let p = gather(&[("PGHOSTADDR", "10.0.0.1"), ("PGPORT", "6000")])?;
    assert_eq!(p.targets, [host("10.0.0.1", Some("10.0.0.1"), 6000)]);
    Ok(())
}

#[test]
fn values_that_make_no_sense_are_refused_by_name() {
    assert!(refused(&[("PGPORT", "x")]).contains("PGPORT"));
    assert!(refused(&[("PGPORT", "1,2")]).contains("PGPORT"));
    assert!(refused(&[("PGHOST", "a,b"), ("PGHOSTADDR", "::1")]).contains("PGHOSTADDR"));
    assert!(refused(&[("PGSSLMODE", "yes")]).contains("PGSSLMODE"));
    assert!(refused(&[("PGCONNECT_TIMEOUT", "1s")]).contains("PGCONNECT_TIMEOUT"));
}

#[test]
fn what_would_protect_more_is_refused_not_ignored() {
    assert!(refused(&[("PGSSLCRL", "/crl")]).contains("PGSSLCRL"));
    assert!(refused(&[("PGGSSENCMODE", "require")]).contains("gssencmode"));
    assert_eq!(refused(&[("PGGSSENCMODE", "prefer"), ("PGSSLMINPROTOCOLVERSION", "TLSv1.2")]), "accepted");
}

#[test]
fn a_service_comes_before_the_environment() -> Result<(), Box<dyn std::error::Error>> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), "[s]\nhost=db1\nport=7000\nuser=backup\n")?;
    let path = file.path().to_string_lossy().into_owned();
    let settings = [("PGSERVICE", "s"), ("PGSERVICEFILE", path.as_str()), ("PGHOST", "other"), ("PGDATABASE", "d")];
    let p = gather(&settings).map_err(|f| f.text().to_owned())?;
    assert_eq!(p.targets, [host("db1", None, 7000)]);
    assert_eq!((p.user.as_str(), p.database.as_str()), ("backup", "d"));
    assert!(refused(&[("PGSERVICE", "t"), ("PGSERVICEFILE", path.as_str())]).contains("no service \"t\""));
    Ok(())
}

#[test]
fn a_password_file_is_used_only_where_nobody_else_can_read_it() -> Result<(), Box<dyn std::error::Error>> {
    use std::os::unix::fs::PermissionsExt;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), "localhost:5432:postgres:me:secret\n")?;
    let path = file.path().to_string_lossy().into_owned();
    let p = gather(&[("PGPASSFILE", path.as_str())]).map_err(|f| f.text().to_owned())?;
    let target = socket("/tmp", 5432);
    assert_eq!(p.password_for(&target), (Some("secret".into()), true));
    std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o640))?;
    assert_eq!(p.password_for(&target), (None, false));
    Ok(())
}
