//! What the firewall behind the default route must let through.

use crate::plan::facts::Facts;

/// The page: Microsoft's two lists, for this region and profile.
pub(super) fn page(facts: &Facts<'_>) -> String {
    let plan = facts.plan;
    let region = plan.region.replace(' ', "").to_lowercase();
    let mut page = String::from(
        "# What the firewall must let through\n\n\
         Made by `bartizan aks render`. Sources: aks outbound-rules-control-egress.md, azureml\n\
         how-to-access-azureml-behind-firewall.md (August 2026).\n\n\
         ## AKS\n\
         | to | port | for |\n|---|---|---|\n\
         | management.azure.com, login.microsoftonline.com | TCP 443 | the cluster's own calls |\n\
         | mcr.microsoft.com, *.data.mcr.microsoft.com | TCP 443 | Microsoft's images |\n\
         | packages.microsoft.com, packages.aks.azure.com | TCP 443 | packages and binaries of nodes |\n\
         | ntp.ubuntu.com | UDP 123 | time |\n",
    );
    if !plan.private_cluster.enabled {
        page.push_str(&format!(
            "| *.hcp.{region}.azmk8s.io | TCP 443, ALPN intact | API server |\n\
             | AzureCloud.{region} | UDP 1194, TCP 9000 | tunnel to the API server |\n"
        ));
    }
    for server in plan.hardening.custom_dns.iter().flatten() {
        page.push_str(&format!("| {server} | TCP and UDP 53 | DNS |\n"));
    }
    if facts.is_azureml {
        let workspace = plan.workspace.as_ref().and_then(|ws| ws.name.clone());
        let workspace = workspace.unwrap_or_else(|| "<workspace id>".to_owned());
        page.push_str(&format!(
            "\n## Azure ML extension\n\
             | to | port | for |\n|---|---|---|\n\
             | AzureActiveDirectory | TCP 80, 443 | sign-in |\n\
             | AzureMachineLearning | TCP 443, 8787, 18881; UDP 5831 | the service |\n\
             | AzureResourceManager, AzureFrontDoor.FirstParty, MicrosoftContainerRegistry, \
             AzureMonitor | TCP 443 | the service |\n\
             | BatchNodeManagement.{region} | TCP 443 | the service |\n\
             | Storage.{region} | TCP 443 | artifacts; a way out for data: prefer private endpoints |\n\
             | {workspace}.workspace.{region}.api.azureml.ms, {region}.api.azureml.ms, \
             {region}.experiments.azureml.net | TCP 443 | the workspace |\n\
             | *.kusto.windows.net, *.table.core.windows.net, *.queue.core.windows.net | TCP 443 | \
             the service's own logs |\n\
             | the workspace's registry and blob account | TCP 443 | images and models |\n"
        ));
    }
    page.push_str(
        "\nA user-defined route does not keep a service of type LoadBalancer from becoming public:\n\
         the rendered admission policy does.\n",
    );
    page
}
