variables {
  bucket = "team"
}

run "nobody_deletes_and_nobody_may_do_everything" {
  command = plan
  assert {
    condition     = alltrue([for one in values(output.documents) : !strcontains(one, "Delete") && !strcontains(one, "s3:*")])
    error_message = "a role may delete, or do everything"
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
