//! What is asked about models beside their answers: metadata, statistics, the index, loading.

use std::sync::Arc;

use bartizan_access::{Credential, permit_admin, permit_describe, permit_metrics};
use bartizan_core::{ModelName, Refusal, RefusalCode};
use bartizan_decision::Model;
use bartizan_wire::grpc::pb;
use bartizan_wire::oip::{self, ModelState};
use hyper::body::Incoming;

use super::Turn;
use crate::answer::Answered;
use crate::body;
use crate::describe::{self, Control};
use crate::reply;
use crate::route::{Handler, Params};

/// Longest body of a request to load or unload, in bytes.
const CONTROL_BYTES_MAX: usize = 16 * 1024;

fn not_found() -> Refusal {
    Refusal::new(RefusalCode::NotFound)
}

impl Turn<'_> {
    /// The model of this name and version (the newest where that is empty), for a credential that
    /// may know of it.
    pub(super) fn described(
        &self,
        name: &str,
        version: &str,
        credential: &Credential,
    ) -> Result<Arc<Model>, Refusal> {
        let model_name: ModelName = name.parse().map_err(|_| not_found())?;
        // Access first, existence second, as for inference.
        let model = self.model_of(name, version);
        let asked = (&model_name, model.as_ref().ok().map(|model| model.version()));
        permit_describe(self.scene(), credential, Some(asked))
            .map_err(|_| Refusal::new(RefusalCode::Forbidden))?;
        model
    }

    fn model_of(&self, name: &str, version: &str) -> Result<Arc<Model>, Refusal> {
        let version = match version {
            "" => None,
            text => Some(text.parse().map_err(|_| not_found())?),
        };
        self.live.snapshot.model(name, version).cloned().ok_or_else(not_found)
    }

    /// Statistics of one model, of all versions of it, or of all models, as the arguments are
    /// empty or not. What a credential needs for them is the caller's to ask.
    pub(super) fn statistics(
        &self,
        name: &str,
        version: &str,
    ) -> Result<Vec<pb::ModelStatistics>, Refusal> {
        if !version.is_empty() {
            return Ok(vec![describe::statistics(&*self.model_of(name, version)?)]);
        }
        if !name.is_empty() {
            self.model_of(name, "")?;
        }
        let models = self.live.snapshot.models();
        let wanted = models.filter(|model| name.is_empty() || model.name().as_str() == name);
        Ok(wanted.map(|model| describe::statistics(model)).collect())
    }

    /// The models that a credential may know of.
    pub(super) fn index(&self, credential: &Credential, ready_only: bool) -> Vec<ModelState<'_>> {
        let is_ready = self.lane.is_ready();
        let models = self.live.snapshot.models().filter(|model| {
            let asked = Some((model.name(), Some(model.version())));
            (is_ready || !ready_only) && permit_describe(self.scene(), credential, asked).is_ok()
        });
        models
            .map(|model| ModelState {
                name: model.name(),
                version: model.version(),
                state: if is_ready { "READY" } else { "UNAVAILABLE" },
                reason: if is_ready { "" } else { "the server is not ready" },
            })
            .collect()
    }

    /// What Triton's clients ask over REST about models, beside their metadata.
    pub(super) async fn about_models(
        &self,
        handler: Handler,
        [name, version]: Params<'_>,
        credential: &Credential,
        body: Incoming,
    ) -> Result<Answered, Refusal> {
        let forbidden = |_| Refusal::new(RefusalCode::Forbidden);
        if handler == Handler::ModelConfig {
            let model = self.described(name, version, credential)?;
            return Ok(describe::config_json(&model));
        }
        if handler == Handler::ModelStatistics {
            permit_metrics(self.scene(), credential).map_err(forbidden)?;
            return Ok(describe::statistics_json(&self.statistics(name, version)?));
        }
        let control = if handler == Handler::RepositoryLoad {
            Control::Load
        } else if handler == Handler::RepositoryUnload {
            Control::Unload
        } else {
            permit_describe(self.scene(), credential, None).map_err(forbidden)?;
            if handler == Handler::RepositoryIndex {
                let index = self.index(credential, false);
                return Ok(reply::json(200, oip::repository_index(&index)));
            }
            return Err(describe::unimplemented());
        };
        self.control_by_rest(credential, name, control, body).await
    }

    /// [`Turn::control`] for a body of REST, which may hold parameters.
    async fn control_by_rest(
        &self,
        credential: &Credential,
        name: &str,
        control: Control,
        body: Incoming,
    ) -> Result<Answered, Refusal> {
        let body = body::read(body, CONTROL_BYTES_MAX, self.lane.limits.body_wait_max).await?;
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let has_parameters = said["parameters"].as_object().is_some_and(|all| !all.is_empty());
        if control == Control::Load && has_parameters {
            return Err(describe::no_load_parameters());
        }
        self.control(credential, name, control).await?;
        Ok(reply::json(200, "{}"))
    }

    /// Loads or unloads a model that was admitted before, where the operator has allowed that on
    /// this listener.
    pub(super) async fn control(
        &self,
        credential: &Credential,
        name: &str,
        control: Control,
    ) -> Result<(), Refusal> {
        let permit = permit_admin(credential, self.said.listener.as_str(), self.said.zone)
            .map_err(|_| Refusal::new(RefusalCode::Forbidden))?;
        if !self.lane.limits.repository_control {
            let detail = "loading and unloading is off on this listener; the operator sets \
                          `inference.repository_control`, or uses the admin API";
            return Err(Refusal::new(RefusalCode::Forbidden).because(detail));
        }
        let name: ModelName = name.parse().map_err(|_| not_found())?;
        let admin = self.lane.admin.clone();
        // The protocol names no version: all that the repository holds of the model are meant.
        let work = move || {
            let list = admin.perform(&permit, "model-list", b"{}");
            let versions = describe::versions_listed(&list, &name)?;
            for version in versions {
                let body = format!("{{\"name\":\"{name}\",\"version\":{version}}}");
                let done = admin.perform(&permit, control.operation(), body.as_bytes());
                if done.status != 200 {
                    return Err(describe::not_controlled(&done));
                }
            }
            Ok(())
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|_| Err(Refusal::new(RefusalCode::Internal)))
    }
}
