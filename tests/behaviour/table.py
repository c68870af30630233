"""Which test fails when a field or flag is ignored. Proven by `python -m tests.mutation --ignored`.

A new field or flag needs a row here, and so a test of what a user asks for with it.
"""

BUILT = "tests/behaviour/test_built_parts.py::test"
CHILD = "tests/lineage/test_children.py::test"
GROUPS = "tests/lineage/test_groups.py::test"
RULE = "tests/run/test_take_note.py::test_a_run_ends_by_all_that_the_rule_says"
STOPS = "tests/lineage/test_stops.py::test"
RUNS = "tests/behaviour/test_runs.py::test"
SERVE = "tests/data/test_serve.py::test"
SAME_BITS = "tests/same_bits/test_replicas.py::test"
CACHE = "tests/entry/test_compile_cache.py::test_the_next_start_compiles_nothing_and_ends_the_same"
DAMAGED = "tests/data/test_same_data.py::test_a_bad_record_ends_the_run_with_65"
AVERAGED = "tests/template/test_weight_average.py::test_the_average_changes_evaluation_and_"
AUGMENTED = "tests/data/test_augment.py::test_augmented_runs_are_the_same_on_any_topology_and_"
MNIST = "tests/entry/test_mnist.py::test_the_classic_program_trains_and_holds_out_the_last"
REFUSED = "tests/entry/test_refusals.py::test"

CONFIG = {
    "seed": f"{SAME_BITS}_seed_and_microbatches_are_part_of_the_config",
    "execution": CACHE,
    "intra_op_threads": f"{RUNS}_an_operation_may_use_as_many_threads_as_was_asked",
    "kernels": "tests/run/test_portable.py"
    "::test_a_run_has_one_digest_on_any_replicas_and_says_what_it_computed_with",
    "train_steps": f"{RUNS}_the_rate_warms_up_and_follows_its_schedule",
    "epochs": MNIST,
    "global_batch_size": f"{RUNS}_training_is_logged_at_its_interval",
    "virtual_replicas": f"{SAME_BITS}_seed_and_microbatches_are_part_of_the_config",
    "precision": f"{BUILT}_layers_compute_in_the_precision_that_was_asked_for",
    "reduction": f"{SAME_BITS}_fast_reduction_stays_close",
    "optimizer_state": "tests/entry/test_dry_run.py::test_the_plan_of_the_digits",
    "log_every_steps": f"{RUNS}_training_is_logged_at_its_interval",
    "eval_every_steps": f"{RUNS}_evaluation_comes_at_its_interval_and_before_training",
    "eval_before_training": f"{RUNS}_evaluation_comes_at_its_interval_and_before_training",
    "checkpoint_every_steps": f"{RUNS}_checkpoints_come_at_their_interval_and_the_newest_are_kept",
    "digest_every_steps": "tests/chaos/test_corruption.py"
    "::test_a_flipped_bit_is_noticed_and_named_and_the_run_ends_same",
    "keep_checkpoints": f"{RUNS}_checkpoints_come_at_their_interval_and_the_newest_are_kept",
    "checkpoint_every_secs": "tests/run/test_saves.py::test_a_fixed_interval_is_kept",
    "keep_best_metric": f"{RUNS}_the_best_checkpoint_by_the_metric_and_mode_is_kept",
    "keep_best_mode": f"{RUNS}_the_best_checkpoint_by_the_metric_and_mode_is_kept",
    "max_skipped_steps": f"{RUNS}_bad_numbers_end_a_run_when_both_budgets_are_spent",
    "max_rollbacks": f"{RUNS}_bad_numbers_end_a_run_when_both_budgets_are_spent",
    "loss_spike": f"{RUNS}_an_update_with_a_loss_spike_is_left_out",
    "dataset.name": MNIST,
    "dataset.data_dir": MNIST,
    "dataset.train_split": "tests/data/test_commands.py::test_show_counts_every_class",
    "dataset.eval_split": f"{BUILT}_what_is_evaluated_is_the_split_that_was_asked_for",
    "dataset.holdout": MNIST,
    "dataset.roles": "tests/data/test_roles.py"
    "::test_bytes_of_the_form_of_an_image_need_a_role[mask-shape2-mask]",
    "dataset.serve": f"{SERVE}_waiting_for_records_is_measured",
    "dataset.shuffle_window": f"{SERVE}_shards_are_closed_behind_the_window",
    "dataset.skip_bad_records": DAMAGED,
    "dataset.elements": "tests/data/test_kept.py"
    "::test_every_form_gives_the_same_examples[generator of batches]",
    "dataset.skip_list": "tests/data/test_verify.py::test_all_faults_are_named_and_left_out",
    "dataset.args": f"{SERVE}_arrays_stream_as_they_are_resident",
    "augment": f"{AUGMENTED}serve_mode",
    "task.name": f"{BUILT}_the_task_is_the_one_that_was_asked_for_with_its_arguments",
    "task.args": f"{BUILT}_the_task_is_the_one_that_was_asked_for_with_its_arguments",
    "model.name": f"{BUILT}_the_model_has_the_layers_that_were_asked_for",
    "model.args": f"{BUILT}_the_model_has_the_layers_that_were_asked_for",
    "model.remat": f"{BUILT}_a_model_is_computed_again_on_the_way_back_where_that_is_asked",
    "models": f"{BUILT}_a_further_model_has_its_arguments_and_its_optimizer",
    "loss.name": f"{BUILT}_the_loss_is_the_one_that_was_asked_for_with_its_arguments",
    "loss.args": f"{BUILT}_the_loss_is_the_one_that_was_asked_for_with_its_arguments",
    "regularizer": f"{BUILT}_kernels_are_penalized_where_that_is_asked",
    "metrics": "tests/parts/test_build.py::test_metrics_of_one_kind_are_told_apart_by_their_name",
    "optimizer.name": f"{BUILT}_an_optimizer_is_the_one_that_was_asked_for",
    "optimizer.learning_rate": f"{RUNS}_the_rate_warms_up_and_follows_its_schedule",
    "optimizer.clip_norm": f"{RUNS}_updates_are_clipped_and_the_optimizer_has_its_arguments",
    "optimizer.schedule.name": f"{RUNS}_the_rate_warms_up_and_follows_its_schedule",
    "optimizer.schedule.args": f"{RUNS}_the_rate_warms_up_and_follows_its_schedule",
    "optimizer.warmup_steps": f"{RUNS}_the_rate_warms_up_and_follows_its_schedule",
    "optimizer.args": f"{RUNS}_updates_are_clipped_and_the_optimizer_has_its_arguments",
    "optimizers": f"{BUILT}_a_further_model_has_its_arguments_and_its_optimizer",
    "plateau.metric": f"{RUNS}_the_rate_drops_where_the_metric_stops_getting_better",
    "plateau.mode": f"{RUNS}_the_rate_drops_where_the_metric_stops_getting_better",
    "plateau.factor": f"{RUNS}_the_rate_drops_where_the_metric_stops_getting_better",
    "plateau.patience": f"{RUNS}_the_rate_drops_where_the_metric_stops_getting_better",
    "plateau.min_delta": f"{RUNS}_a_change_below_min_delta_is_no_improvement",
    "plateau.min_scale": f"{RUNS}_the_rate_drops_where_the_metric_stops_getting_better",
    "optimizer.groups": f"{GROUPS}_a_group_has_its_rate_in_every_optimizer[Signs]",
    "init.from": f"{CHILD}_a_child_starts_with_what_it_takes_and_nothing_else",
    "init.checkpoint": f"{CHILD}_a_checkpoint_is_chosen_by_name_and_by_step",
    "init.include": f"{CHILD}_what_only_one_of_both_has_is_refused_unless_it_is_named",
    "init.exclude": f"{CHILD}_what_only_one_of_both_has_is_refused_unless_it_is_named",
    "init.what": f"{CHILD}_a_child_starts_with_what_it_takes_and_nothing_else",
    "stop.metric": f"{STOPS}_a_metric_that_gets_no_better_ends_a_run_at_the_same_step_everywhere",
    "stop.mode": f"{STOPS}_a_metric_that_gets_no_better_ends_a_run_at_the_same_step_everywhere",
    "stop.patience": f"{STOPS}_a_metric_that_gets_no_better_ends_a_run_at_the_same_step_everywhere",
    "stop.min_delta": f"{RULE}[min_delta]",
    "stop.after": f"{RULE}[after]",
    "stop.max_hours": f"{STOPS}_hours_that_are_over_end_a_run_and_it_stays_ended",
    "trackers": f"{RUNS}_a_tracker_is_told_every_line",
    "ema_decay": f"{AVERAGED}nothing_of_training",
}

DEBUG = "tests/run/test_debug.py::test"
DRY_RUN = "tests/entry/test_dry_run.py::test"
FIRST_MINUTES = "tests/template/test_new.py::test"
STAGE = "tests/data/test_same_data.py::test_a_window_over_a_bucket_stays_under_the_budget"
PROFILE = "tests/entry/test_profile.py::test"
TRACED = f"{PROFILE}_a_trace_of_some_steps_lands_in_the_workdir_and_the_state_is_the_same"

TRAINER = {
    "config": f"{DRY_RUN}_a_step_with_dynamic_shapes_is_refused_for_a_tpu",
    "workdir": TRACED,
    "accept_code_change": "tests/run/test_lineage.py::test_edited_code_then_the_same_command",
    "dry_run": f"{DRY_RUN}_the_plan_of_the_digits",
    "fast_dev_run": f"{FIRST_MINUTES}_fast_dev_run_saves_restores_and_leaves_nothing",
    "debug": f"{DEBUG}_breakpoints_and_prints_work_in_step_loss_layer_and_function",
    "debug_nan": f"{DEBUG}_debug_nan_is_a_flag_of_a_run",
    "overfit_batches": f"{FIRST_MINUTES}_overfit_trains_and_evaluates_on_the_same_few_batches",
    "assume_topology": f"{DRY_RUN}_the_step_compiles_for_a_tpu_without_one",
    "strategy": f"{REFUSED}_a_missing_accelerator_is_never_a_cpu_run[flags0-no GPU]",
    "cpu_replicas": f"{PROFILE}_what_replicas_exchange_is_told_apart",
    "tpu": f"{REFUSED}_a_missing_accelerator_is_never_a_cpu_run[flags2-no TPU answers]",
    "stage_dir": STAGE,
    "stage_bytes": STAGE,
    "compile_cache": CACHE,
    "log_examples": CACHE,
    "profile": TRACED,
    "metrics_port": "tests/monitoring/test_metrics_port.py::test_a_run_is_scraped_while_it_trains",
    "startup_deadline_secs": "tests/behaviour/test_trainer_flags.py::"
    "test_a_worker_waits_for_its_peers_as_long_as_was_asked",
    "hang_deadline_secs": "tests/chaos/test_hang.py::test_blocked_save",
}

JOB = "tests/launch/test_flags.py::test_a_flag_sets_its_field_and_no_other"
VERBS = "tests/launch/test_flags_of_verbs.py::test"
CLI = "tests/launch/test_launch_cli.py::test"
PLANS = "tests/launch/test_plan.py::test"
LIFE = f"{CLI}_the_life_of_a_job_can_be_read_by_programs"

JOB_FLAGS = (
    "accelerator arch code cpus deadline_hours devices_per_worker egress env grace_secs image "
    "jobset max_restarts memory_gib mount_gcs mount_pvc name namespace node_selector "
    "parallel_trials platform pod_monitor priority_class privileged profile profiles queue "
    "requirements resource runtime_class scratch_gib secret_env service_account spot sweep "
    "toleration topology trainjob ttl_hours workers workload_identity"
)
LAUNCH = {
    **{f"job.{flag}": f"{JOB}[{flag}]" for flag in JOB_FLAGS.split()},
    "backend.backend": f"{VERBS}_backend_is_this_machine_unless_it_is_named",
    "backend.context": f"{VERBS}_context_chooses_the_cluster",
    "backend.namespace": f"{VERBS}_namespace_is_where_jobs_are_looked_for[list]",
    "backend.state_dir": LIFE,
    "state.state_dir": f"{CLI}_ctrl_c_stops_a_foreground_job_and_detaches_from_a_submitted_one"
    "[verb0-cancelled-1]",
    "output.output": LIFE,
    "submit.like": f"{PLANS}_an_earlier_run_tells_the_time_and_the_cost",
    "submit.price_per_hour": f"{PLANS}_an_earlier_run_tells_the_time_and_the_cost",
    "submit.yes": f"{PLANS}_somebody_is_asked_on_a_terminal_and_a_program_is_not",
    "submit.dry_run": f"{VERBS}_dry_run_starts_nothing",
    "submit.follow": f"{CLI}_ctrl_c_stops_a_foreground_job_and_detaches_from_a_submitted_one"
    "[verb1-running-130]",
    "check.check": "tests/launch/test_preflight.py::test_a_bad_config_leaves_no_job_behind[submit]",
    "timeout.timeout_secs": LIFE,
    "logs.follow": f"{VERBS}_follow_prints_logs_until_a_local_job_ends",
    "logs.worker": f"{VERBS}_worker_chooses_one_log",
    "lint.schemas": f"{VERBS}_schemas_can_be_left_out",
    "lint.strict": f"{VERBS}_strict_fails_for_style_too",
    **{
        f"lint.{flag}": f"{VERBS}_lint_asks_the_cluster_for_what_the_files_do_not_hold"
        for flag in ("cluster", "context", "namespace")
    },
    "doctor.path": f"{VERBS}_path_is_looked_for_by_doctor",
}

TESTS = {
    **{f"config.{name}": test for name, test in CONFIG.items()},
    **{f"trainer.{name}": test for name, test in TRAINER.items()},
    **{f"launch.{name}": test for name, test in LAUNCH.items()},
}
"""Field or flag -> id of its test."""
