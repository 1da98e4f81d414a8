variables {
  bucket            = "team"
  oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/issuer.example/id/1"
  oidc_issuer_url   = "https://issuer.example/id/1"
}

run "nobody_deletes_for_good_or_may_do_everything" {
  command = plan
  assert {
    condition     = alltrue([for one in values(output.documents) : !strcontains(one, "DeleteObjectVersion") && !strcontains(one, "s3:*")])
    error_message = "a role may delete a version for good, or do everything"
  }
  assert {
    condition = jsonencode({
      for role, one in output.documents : role => flatten([
        for each in jsondecode(one).Statement : each.Resource if contains(each.Action, "s3:DeleteObject")
      ])
      }) == jsonencode({
      for role, places in {
        trainer   = ["store/leases", "outgoing"]
        promoter  = []
        server    = []
        retention = [for one in ["monitoring", "quarantine", "references", "reports", "requests", "snapshots"] : "store/${one}"]
        registry  = ["mlflow"]
      } : role => [for one in places : "arn:aws:s3:::team/${one}/*"]
    })
    error_message = "a role may delete something else"
  }
  assert {
    condition = alltrue(flatten([for one in values(output.documents) : [
      for each in jsondecode(one).Statement : !contains(each.Resource, "arn:aws:s3:::team/*")
    ]]))
    error_message = "a role may reach the whole bucket"
  }
}

run "the_server_cannot_promote" {
  command = plan
  assert {
    condition = alltrue([
      for each in jsondecode(output.documents.server).Statement :
      !contains(each.Resource, "arn:aws:s3:::team/store/ledger/*") if contains(each.Action, "s3:PutObject")
    ])
    error_message = "the server may write to the ledger"
  }
  assert {
    condition     = !strcontains(output.documents.server, "snapshots") && !strcontains(output.documents.server, "mlflow")
    error_message = "the server may read training rows, or artifacts past MLflow"
  }
}

run "the_promoter_writes_decisions_alone" {
  command = plan
  assert {
    condition = flatten([
      for each in jsondecode(output.documents.promoter).Statement : each.Resource if contains(each.Action, "s3:PutObject")
    ]) == ["arn:aws:s3:::team/store/ledger/*", "arn:aws:s3:::team/store/probe/*"]
    error_message = "the promoter may write something else"
  }
}

run "the_ledger_is_not_deleted" {
  command = plan
  assert {
    condition     = strcontains(output.bucket_policy, "store/ledger/*") && strcontains(output.bucket_policy, "aws:SecureTransport")
    error_message = "the bucket's policy lacks a rule"
  }
}

run "each_role_is_one_service_account_s" {
  command = plan
  assert {
    condition     = keys(output.trust) == keys(output.documents)
    error_message = "a role without a policy, or a policy without a role"
  }
  assert {
    condition = { for role, one in output.trust : role => jsondecode(one).Statement[0].Condition.StringEquals } == {
      for role, account in { trainer = "worker", promoter = "promoter", server = "scoring", retention = "retention", registry = "mlflow" } :
      role => {
        "issuer.example/id/1:aud" = "sts.amazonaws.com"
        "issuer.example/id/1:sub" = "system:serviceaccount:nocturne:nocturne-${account}"
      }
    }
    error_message = "somebody else may become a role"
  }
}
