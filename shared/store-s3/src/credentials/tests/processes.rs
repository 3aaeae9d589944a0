use super::*;

/// A profile whose process is `command`.
fn home(command: &str) -> Home {
    Home::new("", &format!("[default]\ncredential_process = {command}\n"))
}

fn error(command: &str) -> Error {
    failure(&[("HOME", home(command).path())])
}

#[test]
fn a_process_prints_a_key() {
    let home = home("sh -c 'cat \"$0\"' \"'dir'/k\\\"ey\"");
    std::fs::create_dir(home.folder.path().join("'dir'")).unwrap();
    let file = home.file("'dir'/k\"ey", &json_key("PROCESS", "SessionToken", 3600));
    let config = home
        .file("c", &format!("[default]\ncredential_process = sh -c 'cat \"$0\"' \"{}\"\n", file.replace('"', "\\\"")));
    let key = get(&provider(&[("AWS_CONFIG_FILE", &config)])).unwrap();
    assert_eq!((key.id.as_str(), key.token.as_deref()), ("PROCESS", Some("json-token")));
    assert!(key.expires.is_some());
}

#[test]
fn a_process_that_prints_anything_else_is_told_without_a_word_of_it() {
    for (printed, words) in [
        ("HUSH", "not a key in JSON"),
        ("", "not a key in JSON"),
        ("\"HUSH\"", "not a key in JSON"),
        ("{\"Version\": 1, \"AccessKeyId\": [\"HUSH\"]}", "not a key in JSON"),
        ("{\"AccessKeyId\": \"A\", \"SecretAccessKey\": \"HUSH\"}", "Version"),
        ("{\"Version\": 2, \"AccessKeyId\": \"A\", \"SecretAccessKey\": \"HUSH\"}", "Version"),
        ("{\"Version\": 1, \"SecretAccessKey\": \"HUSH\"}", "no AccessKeyId"),
        ("{\"Version\": 1, \"AccessKeyId\": \"HUSH\"}", "no SecretAccessKey"),
        (
            "{\"Version\": 1, \"AccessKeyId\": \"A\", \"SecretAccessKey\": \"HUSH\", \"Expiration\": \"HUSH\"}",
            "Expiration",
        ),
    ] {
        let error = error(&format!("printf %s '{printed}'"));
        let Error::Corrupt(why) = &error else { panic!("{printed}: {error:?}") };
        assert!(why.text.contains(words) && why.text.contains("the profile default"), "{printed}: {why:?}");
        assert!(!format!("{error:?}").contains("HUSH"), "{error:?}");
    }
    assert!(matches!(error("head -c 9000000 /dev/zero"), Error::Corrupt(_) | Error::Config(_)));
}

#[test]
fn a_process_that_fails_is_told_with_its_status_and_without_its_words() {
    for (command, words) in [
        ("sh -c 'echo {}; exit 3' --password=HUSH", "(sh) ended with status 3"),
        ("sh -c 'kill -9 $$' HUSH", "(sh) was ended by signal 9"),
        ("/nonexistent/helper --password=HUSH", "/nonexistent/helper: no such file"),
        ("sh -c 'HUSH", "a quote is not closed"),
        ("''", "cannot be run"),
    ] {
        let error = error(command);
        assert!(matches!(&error, Error::Config(why) if why.text.contains(words)), "{command}: {error:?}");
        assert!(!format!("{error:?}").contains("HUSH") && error.why().hint.is_some(), "{error:?}");
    }
}

#[test]
fn a_process_that_hangs_is_ended_with_what_it_started() {
    for hang in
        ["echo $$ >\"$0\"; sleep 300 & wait", "echo $$ >\"$0\"; exec >&-; sleep 300", "sleep 300 & echo $! >\"$0\""]
    {
        let home = Home::new("", "");
        let place = home.file("pid", "");
        let config = home.file("c", &format!("[default]\ncredential_process = sh -c '{hang}' {place}\n"));
        let mut provider = provider(&[("AWS_CONFIG_FILE", &config)]);
        provider.patience = Duration::from_millis(500);
        let start = Instant::now();
        let error = get(&provider).err().unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "{hang}");
        assert!(matches!(&error, Error::Busy(why) if why.text.contains("without a key")), "{hang}: {error:?}");
        let pid = std::fs::read_to_string(&place).unwrap();
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        for _ in 0..200 {
            if gone() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(gone(), "{hang}: {pid}");
    }
}

/// The test's own program again, with `variables`: they cannot be set within it.
fn again(test: &str, variables: &[(&str, &str)]) -> bool {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("credentials::tests::{test}"), "--nocapture"]).env("WALPIPE_TEST_INNER", "1");
    let output = command.envs(variables.iter().copied()).stdin(std::process::Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    true
}

fn inner() -> bool {
    std::env::var_os("WALPIPE_TEST_INNER").is_some()
}

#[test]
fn a_process_gets_neither_our_secrets_nor_our_input() {
    let name = "processes::a_process_gets_neither_our_secrets_nor_our_input";
    if !inner() {
        let ours = ["PGPASSWORD", "WALG_S3_SSE_C", "WALG_LIBSODIUM_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN"];
        let mut set = ours.map(|name| (name, "HUSH")).to_vec();
        set.push(("KEPT", "kept"));
        assert!(again(name, &set));
        return;
    }
    let home = Home::new("", "");
    let (seen, input) = (home.file("seen", ""), home.file("input", ""));
    let json = home.file("json", &json_key("PROCESS", "SessionToken", 3600));
    let command = format!("sh -c 'env >\"$0\"; readlink /proc/self/fd/0 >\"$1\"; cat \"$2\"' {seen} {input} {json}");
    let config = home.file("c", &format!("[default]\ncredential_process = {command}\n"));
    assert_eq!(id(&[("AWS_CONFIG_FILE", &config)]), "PROCESS");
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("KEPT=kept") && !seen.contains("HUSH"), "{seen}");
    assert_eq!(std::fs::read_to_string(input).unwrap(), "/dev/null\n");
}

#[test]
fn services_of_the_machine_are_never_asked_through_a_proxy() {
    let name = "processes::services_of_the_machine_are_never_asked_through_a_proxy";
    if !inner() {
        let proxy = nobody();
        let set = [("http_proxy", proxy.as_str()), ("HTTP_PROXY", &proxy), ("ALL_PROXY", &proxy), ("NO_PROXY", "")];
        assert!(again(name, &set));
        return;
    }
    let (imds, agent) = (instance("IMDS"), Service::new(|_, _| (200, json_key("ECS", "Token", 3600))));
    assert_eq!(id(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.origin)]), "IMDS");
    assert_eq!(id(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.origin)]), "ECS");
}
