use sha2::{Digest, Sha256};

use super::*;

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the request is signed for STS in `region` with `secret`, computed as the "Signature Version 4" page says.
fn is_signed(asked: &Asked, region: &str, id: &str, secret: &str) -> bool {
    let authorization = asked.header("authorization");
    let part = |name: &str| authorization.split_once(name).unwrap().1.split([',', ' ']).next().unwrap();
    let time = asked.header("x-amz-date");
    let scope = format!("{}/{region}/sts/aws4_request", &time[..8]);
    let names = part("SignedHeaders=");
    let headers: String = names.split(';').map(|name| format!("{name}:{}\n", asked.header(name))).collect();
    let body = hex(&Sha256::digest(&asked.body));
    let request = format!("{}\n{}\n\n{headers}\n{names}\n{body}", asked.method, asked.path);
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(request)));
    let mut key = format!("AWS4{secret}").into_bytes();
    for text in [&time[..8], region, "sts", "aws4_request"] {
        key = hmac(&key, text.as_bytes());
    }
    part("Credential=") == format!("{id}/{scope}") && part("Signature=") == hex(&hmac(&key, to_sign.as_bytes()))
}

#[test]
fn a_role_is_assumed_with_its_sources_key() {
    let sts = Service::new(|asked, _| (200, sts_key(asked, "ROLE", 3600)));
    let home = Home::new(
        "[base]\naws_access_key_id = BASE\naws_secret_access_key = base-secret\naws_session_token = base-token\n",
        "[profile r]\nrole_arn = arn:aws:iam::1:role/backup\nsource_profile = base\nexternal_id = e &=+ü\n\
         role_session_name = nightly\nduration_seconds = 7200\nregion = eu-west-2\n",
    );
    let set = [("HOME", home.path()), ("AWS_PROFILE", "r"), ("AWS_ENDPOINT_URL_STS", &sts.origin)];
    let key = get(&provider(&set)).unwrap();
    assert_eq!((key.id.as_str(), key.secret.as_str()), ("ROLE", "sts-secret-ROLE"));
    assert_eq!(key.token.as_deref(), Some("sts-token-ROLE"));
    assert!(key.expires.unwrap() > Timestamp::now());
    let asked = &sts.seen()[0];
    for (name, value) in [
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", "arn:aws:iam::1:role/backup"),
        ("RoleSessionName", "nightly"),
        ("ExternalId", "e &=+ü"),
        ("DurationSeconds", "7200"),
    ] {
        assert_eq!(asked.field(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(asked.header("x-amz-security-token"), "base-token");
    assert!(is_signed(asked, "eu-west-2", "BASE", "base-secret"), "{asked:?}");
    assert!(!is_signed(asked, "eu-west-2", "BASE", "other-secret"));
}

#[test]
fn roles_follow_each_other_from_the_source_up() {
    let sts = Service::new(|asked, number| {
        let role = asked.field("RoleArn").unwrap();
        (200, sts_key(asked, &format!("{number}-{role}"), 3600))
    });
    let home = Home::new(
        "[base]\naws_access_key_id = BASE\naws_secret_access_key = s\n",
        "[profile top]\nrole_arn = top\nsource_profile = middle\n[profile middle]\nrole_arn = middle\n\
         source_profile = base\n[profile self]\nrole_arn = self\nsource_profile = self\naws_access_key_id = OWN\n\
         aws_secret_access_key = s\n",
    );
    let set = [("HOME", home.path()), ("AWS_PROFILE", "top"), ("AWS_ENDPOINT_URL_STS", &sts.origin)];
    assert_eq!(id(&set), "1-top");
    let seen = sts.seen();
    assert!(is_signed(&seen[0], "us-east-1", "BASE", "s"));
    assert!(is_signed(&seen[1], "us-east-1", "0-middle", "sts-secret-0-middle"));
    let set = [("HOME", home.path()), ("AWS_PROFILE", "self"), ("AWS_ENDPOINT_URL_STS", &sts.origin)];
    assert_eq!(id(&set), "2-self");
    assert!(is_signed(&sts.seen()[2], "us-east-1", "OWN", "s"));
}

#[test]
fn a_role_without_a_token_is_assumed_with_the_key_there_is_as_wal_g_does() {
    let sts = Service::new(|asked, _| (200, sts_key(asked, "ROLE", 2)));
    let imds = instance("IMDS");
    let role = [("AWS_ROLE_ARN", "arn:g"), ("AWS_ROLE_SESSION_NAME", "pg"), ("AWS_ENDPOINT_URL_STS", &sts.origin)];
    let keys = [("AWS_ACCESS_KEY_ID", "BASE"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_REGION", "eu-west-1")];
    let provider = provider(&[&role[..], &keys].concat());
    assert_eq!(get(&provider).unwrap().id, "ROLE");
    let asked = &sts.seen()[0];
    assert!(is_signed(asked, "eu-west-1", "BASE", "s"));
    assert_eq!(asked.field("RoleArn").as_deref(), Some("arn:g"));
    assert_eq!(asked.field("RoleSessionName").as_deref(), Some("pg"));
    std::thread::sleep(Duration::from_millis(1300));
    assert_eq!(get(&provider).unwrap().id, "ROLE"); // and renewed
    assert_eq!(sts.seen().len(), 2);
    assert_eq!(id(&[&role[..], &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.origin)]].concat()), "ROLE");
    assert!(is_signed(&sts.seen()[2], "us-east-1", "IMDS", "json-secret"));
}

#[test]
fn circles_and_dead_ends_are_told() {
    let sts = Service::new(|asked, _| (200, sts_key(asked, "NEVER", 3600)));
    let home = Home::new(
        "",
        "[profile a]\nrole_arn = a\nsource_profile = b\n[profile b]\nrole_arn = b\nsource_profile = c\n\
         [profile c]\nrole_arn = c\nsource_profile = b\n[profile self]\nrole_arn = s\nsource_profile = self\n\
         [profile none]\nrole_arn = n\n[profile both]\nrole_arn = n\nsource_profile = a\n\
         credential_source = Environment\n[profile gone]\nrole_arn = n\nsource_profile = nobody\n\
         [profile empty]\nregion = x\n[profile dry]\nrole_arn = n\nsource_profile = empty\n\
         [profile odd]\nrole_arn = n\ncredential_source = Elsewhere\n[profile mfa]\nrole_arn = n\n\
         source_profile = a\nmfa_serial = arn\n[profile long]\nrole_arn = n\nsource_profile = a\n\
         duration_seconds = 60\n[profile var]\nrole_arn = n\ncredential_source = Environment\n\
         [profile ecs]\nrole_arn = n\ncredential_source = EcsContainer\n",
    );
    for (profile, words) in [
        ("a", "the source_profile of c leads back to the profile b"),
        ("self", "the source_profile of self leads back to the profile self"),
        ("none", "neither source_profile nor credential_source"),
        ("both", "both source_profile and credential_source"),
        ("gone", "source_profile = nobody, which does not exist"),
        ("dry", "the profile empty, source_profile of dry, holds no credentials"),
        ("odd", "credential_source = Elsewhere"),
        ("mfa", "mfa_serial"),
        ("long", "duration_seconds = 60"),
        ("var", "credential_source = Environment, and AWS_ACCESS_KEY_ID is not set"),
        ("ecs", "credential_source = EcsContainer"),
    ] {
        let set = [("HOME", home.path()), ("AWS_PROFILE", profile), ("AWS_ENDPOINT_URL_STS", &sts.origin)];
        let error = failure(&set);
        assert!(matches!(&error, Error::Config(why) if why.text.contains(words)), "{profile}: {error:?}");
        assert!(error.why().hint.is_some(), "{profile}");
    }
    assert!(sts.seen().is_empty());
}

#[test]
fn a_role_may_stand_on_the_container_or_the_instance() {
    let sts = Service::new(|asked, _| (200, sts_key(asked, "ROLE", 3600)));
    let (agent, imds) = (Service::new(|_, _| (200, json_key("ECS", "Token", 3600))), instance("IMDS"));
    let home = Home::new(
        "",
        "[profile ecs]\nrole_arn = e\ncredential_source = EcsContainer\n\
         [profile ec2]\nrole_arn = i\ncredential_source = Ec2InstanceMetadata\n",
    );
    for (profile, source) in [("ecs", "ECS"), ("ec2", "IMDS")] {
        let set = [
            ("HOME", home.path()),
            ("AWS_PROFILE", profile),
            ("AWS_ENDPOINT_URL_STS", &sts.origin),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.origin),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.origin),
        ];
        assert_eq!(id(&set), "ROLE");
        let asked = sts.seen().pop().unwrap();
        assert!(is_signed(&asked, "us-east-1", source, "json-secret"), "{profile}");
        assert_eq!(asked.header("x-amz-security-token"), "json-token");
    }
}

#[test]
fn a_web_identity_is_shown_unsigned_and_read_anew_each_time() {
    let sts = Service::new(|asked, _| (200, sts_key(asked, &asked.field("WebIdentityToken").unwrap(), 2)));
    let home = Home::new("", "");
    let file = home.file("token", "first.jwt\n");
    let provider = provider(&[
        ("HOME", home.path()),
        ("AWS_ROLE_ARN", "arn:web"),
        ("AWS_ROLE_SESSION_NAME", "pod"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
        ("AWS_ENDPOINT_URL_STS", &format!("{}/sts/", sts.origin)),
    ]);
    assert_eq!(get(&provider).unwrap().id, "first.jwt");
    home.file("token", "second.jwt");
    std::thread::sleep(Duration::from_millis(1300));
    assert_eq!(get(&provider).unwrap().id, "second.jwt");
    let asked = &sts.seen()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/sts"));
    assert_eq!(asked.header("authorization"), "");
    for (name, value) in [("Action", "AssumeRoleWithWebIdentity"), ("RoleArn", "arn:web"), ("RoleSessionName", "pod")] {
        assert_eq!(asked.field(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn a_web_identity_may_stand_in_a_profile_or_be_half_set() {
    let sts = Service::new(|asked, _| (200, sts_key(asked, &asked.field("RoleArn").unwrap(), 3600)));
    let home = Home::new("", "");
    let file = home.file("token", "jwt");
    let config = home.file("f", &format!("[profile w]\nrole_arn = arn:w\nweb_identity_token_file = {file}\n[profile h]\nweb_identity_token_file = {file}\n"));
    let set = |profile| {
        [("AWS_CONFIG_FILE", config.as_str()), ("AWS_PROFILE", profile), ("AWS_ENDPOINT_URL_STS", &sts.origin)]
    };
    assert_eq!(id(&set("w")), "arn:w");
    assert!(failure(&set("h")).why().text.contains("no role_arn"));
    let error = failure(&[("AWS_WEB_IDENTITY_TOKEN_FILE", &file)]);
    assert!(matches!(&error, Error::Config(why) if why.text.contains("AWS_ROLE_ARN is not")), "{error:?}");
    let error = failure(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token"), ("AWS_ROLE_ARN", "r")]);
    assert!(matches!(&error, Error::Config(why) if why.text.contains("/nonexistent/token: no such file")), "{error:?}");
}

#[test]
fn a_service_that_stumbles_is_asked_again_and_one_that_refuses_is_not() {
    let stumbling = Service::new(|asked, number| match number {
        0 => (503, String::new()),
        1 => (400, sts_error("IDPCommunicationError", "later")),
        _ => (200, sts_key(asked, "THIRD", 3600)),
    });
    let home = Home::new("", "");
    let file = home.file("token", "jwt");
    let set = |origin| {
        [("AWS_WEB_IDENTITY_TOKEN_FILE", file.as_str()), ("AWS_ROLE_ARN", "arn:r"), ("AWS_ENDPOINT_URL_STS", origin)]
    };
    assert_eq!(id(&set(&stumbling.origin)), "THIRD");
    let refusing = Service::new(|_, _| (403, sts_error("AccessDenied", "Not authorized to perform it")));
    let error = failure(&set(&refusing.origin));
    let Error::Denied(why) = &error else { panic!("{error:?}") };
    assert!(why.text.contains("role arn:r") && why.text.contains("403 AccessDenied: Not authorized"), "{why:?}");
    assert!(why.hint.as_deref().unwrap().contains("sts:AssumeRoleWithWebIdentity"));
    assert_eq!(refusing.seen().len(), 1);
    let busy = Service::new(|_, _| (500, "<html>".to_owned()));
    assert!(matches!(failure(&set(&busy.origin)), Error::Busy(_)));
    let garbage = Service::new(|_, _| (200, "<html>".to_owned()));
    assert!(matches!(failure(&set(&garbage.origin)), Error::Corrupt(_)));
    let error = failure(&set(&nobody()));
    assert!(matches!(&error, Error::Unreachable(why) if why.text.contains("tried 3 times")), "{error:?}");
}

#[test]
fn the_service_is_the_regions() {
    for (set, endpoint) in [
        (&[][..], "https://sts.us-east-1.amazonaws.com"),
        (&[("AWS_DEFAULT_REGION", "eu-south-2")], "https://sts.eu-south-2.amazonaws.com"),
        (&[("AWS_REGION", "cn-north-1"), ("AWS_DEFAULT_REGION", "x")], "https://sts.cn-north-1.amazonaws.com.cn"),
        (&[("AWS_ENDPOINT_URL_STS", "https://minio:9000/")], "https://minio:9000"),
    ] {
        assert_eq!(Sts::of(&environment(set)).unwrap().endpoint, endpoint);
    }
    for bad in
        [("AWS_REGION", "evil.example/"), ("AWS_ENDPOINT_URL_STS", "http://u:hush@x"), ("AWS_ENDPOINT_URL_STS", "x")]
    {
        let error = Sts::of(&environment(&[bad])).err().unwrap();
        assert!(matches!(error, Error::Config(_)) && !format!("{error:?}").contains("hush"));
    }
}
