use super::*;

/// Who wins, the variables (C: a container, I: an instance), and the settings in each of the files.
type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

#[test]
fn sources_are_asked_in_the_order_of_the_aws_cli() {
    let sts = Service::new(|asked, _| {
        let id = if asked.field("Action").as_deref() == Some("AssumeRole") { "ROLE" } else { "WEB" };
        (200, sts_key(asked, id, 3600))
    });
    let agent = Service::new(|_, _| (200, json_key("CONTAINER", "Token", 3600)));
    let imds = instance("INSTANCE");
    let home = Home::new("", "");
    let file = home.file("json", &json_key("PROCESS", "SessionToken", 3600));
    let process = format!("credential_process = cat {file}\n");
    let token = home.file("token", "jwt");
    let web_profile = format!("role_arn = w\nweb_identity_token_file = {token}\n");
    let credentials = "aws_access_key_id = CREDENTIALS\naws_secret_access_key = s\n";
    let config = "aws_access_key_id = CONFIG\naws_secret_access_key = s\n";
    let role = "role_arn = r\nsource_profile = base\n";
    let base = "[base]\naws_access_key_id = BASE\naws_secret_access_key = s\n";

    // each row lacks what won the row before
    let rows: [Row<'_>; 9] = [
        ("VARIABLES", &["AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN", "C", "I"], &[credentials], &[role, &process, config]),
        ("ROLE", &["AWS_ROLE_ARN", "C", "I"], &[credentials], &[role, &process, config]),
        ("WEB", &["AWS_ROLE_ARN", "C", "I"], &[credentials], &[&process, config]),
        ("WEB", &["C", "I"], &[credentials], &[&web_profile, &process, config]),
        ("CREDENTIALS", &["C", "I"], &[credentials], &[&process, config]),
        ("PROCESS", &["C", "I"], &[], &[&process, config]),
        ("CONFIG", &["C", "I"], &[], &[config]),
        ("CONTAINER", &["C", "I"], &[], &[]),
        ("INSTANCE", &["I"], &[], &[]),
    ];
    for (winner, variables, in_credentials, in_config) in rows {
        home.file(".aws/credentials", &format!("[default]\n{}{base}", in_credentials.concat()));
        home.file(".aws/config", &format!("[default]\n{}", in_config.concat()));
        let mut set = vec![("HOME", home.path()), ("AWS_ENDPOINT_URL_STS", sts.origin.as_str())];
        for variable in variables {
            match *variable {
                "AWS_ACCESS_KEY_ID" => set.extend([("AWS_ACCESS_KEY_ID", "VARIABLES"), ("AWS_SECRET_ACCESS_KEY", "s")]),
                "AWS_ROLE_ARN" => set.extend([("AWS_ROLE_ARN", "r"), ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str())]),
                "C" => set.push(("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.origin.as_str())),
                _ => set.push(("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.origin.as_str())),
            }
        }
        assert_eq!(id(&set), winner, "{set:?} {in_credentials:?} {in_config:?}");
    }
}
