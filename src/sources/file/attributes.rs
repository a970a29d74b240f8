//! What a file's path tells of its origin, under OpenTelemetry's names.

use std::path::Path;

/// `log.file.path`, and for the log files of a kubelet
/// (`/var/log/pods/<namespace>_<pod>_<uid>/<container>/<restart>.log`) what their path says.
pub(super) fn of(name: &Path, real: &Path) -> Vec<(String, String)> {
    let mut all = vec![("log.file.path".to_owned(), name.to_string_lossy().into_owned())];
    let text = real.to_string_lossy();
    let parts = text.rsplit('/').take(4).collect::<Vec<_>>();
    if let [file, container, pod, "pods"] = parts[..]
        && let [namespace, pod, uid] = pod.split('_').collect::<Vec<_>>()[..]
    {
        let restart = file.split('.').next().unwrap_or_default();
        let told = [
            ("k8s.namespace.name", namespace),
            ("k8s.pod.name", pod),
            ("k8s.pod.uid", uid),
            ("k8s.container.name", container),
            ("k8s.container.restart_count", restart),
        ];
        all.extend(told.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let told = |path: &str| {
            let all = of(Path::new(path), Path::new(path));
            all.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
        };
        assert_eq!(told("/logs/app.log"), ["/logs/app.log"]);
        let path = "/var/log/pods/ml_fraud-0_ab-1/model/3.log";
        assert_eq!(told(path), [path, "ml", "fraud-0", "ab-1", "model", "3"]);
        assert_eq!(told("/x/pods/odd/model/3.log").len(), 1);
    }
}
